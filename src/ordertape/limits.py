"""Every bound of the house, unit last in the name, its policy beside it."""

from __future__ import annotations

from typing import Final

# Journal -----------------------------------------------------------------------------------------
journal_segment_bytes: Final = 64 * 2**20
"""Segments are allocated ahead at this size, so that a full disk is met at a roll.
Policy: roll."""
journal_write_ms_max: Final = 5
"""A frame is written at most this long after its batch is complete.
Policy: a batch is written as it commits."""
journal_sync_ms_max: Final = 100
"""fdatasync begins at most this long after that.  Policy: its failure ends the process."""
journal_frame_rows_max: Final = 131_072
"""More rows become several frames, also where one would fill a quarter of a segment.
Policy: split."""
journal_reserve_bytes: Final = 64 * 2**10
"""The end of a segment that events leave free, so that marks can still be written when the disk is
full.  Policy: events roll, marks go in."""
journal_read_bytes_min: Final = 64 * 2**10
journal_read_bytes_max: Final = 2**20
"""What a reader reads at once; doubles from min to max while it goes on, min again at the tail.
Policy: a longer frame is read whole."""
journal_run_rows: Final = 500
"""Events that a reader takes from a journal as one batch.
Policy: the next batch begins there; a frame is never divided."""
journal_run_ms: Final = 60_000
"""Of the market's time that such a batch spans.  Policy: the next one begins there."""
journal_scan_bytes: Final = 256 * 2**10
"""Looked through at once for the next whole frame: little enough for a processor's cache."""
follow_poll_ms_min: Final = 0.5
follow_poll_ms_max: Final = 5
"""How often a follower looks for new frames; doubles from min to max while none come.
Policy: it goes on to look at max."""
follow_scan_ms: Final = 1_000
"""Stuck so long at a place where a frame began: look behind it.  Policy: once a place."""
terms_mark_bytes_max: Final = 4 * 2**20
"""Dictionary text in one mark.  Policy: several marks."""

# Archive -----------------------------------------------------------------------------------------
archive_file_rows_max: Final = 1_000_000
"""A file closes here or at the end of the day (UTC).  Policy: close and begin the next."""
archive_row_group_rows: Final = 131_072
"""Rows a Parquet row group holds: what a reader decodes at once."""
archive_step_events: Final = 50_000
"""Events that one look at a journal takes.
Policy: other markets have their turn, then the next look follows at once.
"""
archive_waiting_batches_max: Final = 512
"""Batches of events, of a row or two each in a quiet market, that wait for a row group in memory.
Policy: they are laid into a temporary file without a name beside the archive."""
archive_waiting_rows_max: Final = 10_000
"""Rows of such batches.  Policy: the same."""
archive_waiting_marks_max: Final = 64
"""Marks that wait in memory for the end of a file.  Policy: as batches of events."""
demo_archive_bytes_max: Final = 256 * 2**20
"""The archive of a demonstration's market.  Policy: the oldest files are dropped."""
demo_archive_held_factor: Final = 4
"""So many times as large it grows while PostgreSQL, the lives of orders or the findings have not
come by its oldest files yet.  Policy: those are dropped too, a gap in PostgreSQL tells which."""
archive_files_known: Final = 512
"""Files of archives whose metadata and row groups stay in mind.  Policy: the least used is read
again."""
archive_batch_rows: Final = 16_000
"""Rows a reader hands out at once: columns that stay in the processor's cache, in memory that the
allocator keeps.  131,072 rows at once took 1.3 times the processor time a rebuild."""
cold_footer_bytes_max: Final = 256 * 2**20
"""What a cold file says of itself and its blocks.  Policy: the file is refused."""
cold_pause_s: Final = 60
"""Between two looks of the keeper for files that became old enough to be cold.  Policy: one file a
round while there are some."""
lives_row_group_rows: Final = 16_384
"""Lives of orders in one row group of a file beside the archive: they and what they are encoded
into take ten megabytes of the keeper, and four times as much takes forty."""
lives_rows_kept: Final = 200_000
"""Lives told since the archive's last file that the server keeps in mind, of one market.  Policy:
the oldest are dropped, and read from the tape again where they are asked for."""
lives_stride_events: Final = 16_000
"""Events whose ended orders are put into one table: small tables cost more than their rows."""
lives_copy_rows: Final = 5_000
"""Lives of orders copied into PostgreSQL in one transaction."""
lives_files_walked_max: Final = 4
"""Files of an archive that the server makes lives of for an answer.  Policy: refused until the
keeper has stored them."""
lives_logs_kept: Final = 8
"""Markets whose lives the server keeps in mind.  Policy: the least used is dropped."""
detectors_warm_up_s: Final = 1_800
"""How long before the first wanted finding detectors begin to look: as far as their baselines of
usual sizes and rates reach back."""
findings_stride_events: Final = 16_000
"""Events of a tape between two looks at what the detectors found."""
findings_cursor_events: Final = 200_000
"""Events without a finding after which its place is written down anyway: so many at most are walked
again after a restart, and the warm-up."""
finding_phases_kept: Final = 200
"""Phases of an iceberg that stay with it.  Policy: the oldest are dropped."""
finding_phases_told: Final = 10
"""The last phases that a page is told with each new one, beside the first.
Policy: a page keeps those it was told before; REST has all."""
findings_page_default: Final = 100
"""Findings in one answer where nobody says how many."""
findings_page_max: Final = 1_000
"""Findings in one answer.  Policy: refused."""
findings_poll_ms: Final = 500
"""How often a server looks for new findings."""
lookup_groups_kept: Final = 3
"""Decoded row groups a market that paging keeps.  Policy: the least used is dropped."""
lookups_kept: Final = 64
"""Markets whose tapes the server keeps in mind.  Policy: the least used is dropped."""
processes_known: Final = 64
"""Processes of roles whose start the server keeps in mind.  Policy: the least used is computed
anew."""
readings_kept: Final = 16_384
"""Files and folders (reports, lists of markets) that the server reads again only when they
changed, of each kind.  Policy: the least used is read anew."""
reading_settled_ms: Final = 1_000
"""What changed less than this ago is read each time: the clocks of file systems tick slowly."""
scaled_bounds_kept: Final = 256
"""Bounds of prices and sizes, each at the scale of a market, that a page's batches are compared
with.  Policy: the least used is scaled anew."""
lookup_index_bytes: Final = 256 * 2**10
"""Between two points of a journal's index: what a look-up reads in vain at most."""
marks_told_again_max: Final = 50
"""How many marks back one that is told again is looked for: archive and journal overlap.
Policy: an older one would count twice."""
base_seconds_max: Final = 3600
"""A base (a whole book) is written at least this often while events come.  Policy: write one."""

backup_commit_ms_max: Final = 10_000
"""How long a backup waits for a commit of an archive to end.  Policy: it ends with a sentence."""

# Imports -----------------------------------------------------------------------------------------
import_digest_events: Final = 100_000
"""Events of an import between marks with the book's digest; the end has one too."""
import_line_bytes_max: Final = 2**20
"""One line of a text.  Policy: the file is refused."""
import_metadata_bytes_max: Final = 256 * 2**20
"""What a Databento file says of itself before its records.  Policy: the file is refused."""

# Streams -----------------------------------------------------------------------------------------
snapshot_interval_seconds_default: Final = 60
"""Seconds between marks (seq, orders, digest); see L3_SNAPSHOT_INTERVAL."""
snapshot_interval_seconds_min: Final = 10
snapshot_interval_seconds_max: Final = 3_600
"""What L3_SNAPSHOT_INTERVAL may be.  Policy: refused."""
silence_stale_ms: Final = 30_000
"""No frame at all for this long: STALE, then reconnect (Bitfinex heartbeats come every 15 s)."""
commit_silence_ms: Final = 50
"""Statements that nothing closes are committed after this silence.  Policy: commit."""
commit_open_ms_max: Final = 1_000
"""Statements that wait so long for what closes them, because more keep coming.  Policy: commit."""
attribution_horizon_ms: Final = 1_000
"""How long a trade and an order's end may be apart and still be one.  Policy: then TRADE."""
evicted_orders_max: Final = 100_000
"""Evicted ids remembered for REENTRY, at least; twice as many at most.
Policy: the oldest are forgotten, they would come back as OPEN."""
waiting_trades_max: Final = 10_000
"""Trades and ends waiting for each other, and trade ids known.
Policy: the oldest becomes TRADE."""
crossed_commits_max: Final = 1
"""A book may stay crossed over this many commits in a row.  Policy: then resync."""
coinbase_crossed_commits_max: Final = 5
"""The same where each message is a commit: an order that is amended across the spread may stand
there until its trades are told.  Policy: then resync."""
checksum_misses_max: Final = 1
"""Checksum mismatches in a row that only leave LIVE.  Policy: one more resyncs."""
quarantine_frames_max: Final = 100
"""Frames that could not be parsed, kept with their reason.  Policy: the oldest is dropped."""
quarantine_frame_bytes_max: Final = 64 * 2**10
"""Bytes kept of one such frame.  Policy: cut."""
frame_bytes_max: Final = 64 * 2**20
"""One message from a venue.  Policy: the connection is closed and the stream resyncs."""
frame_parts_max: Final = 10_000
"""Frames that one message may come in: millions without a byte in them would keep the event loop
from everything else.  Policy: as a message that is too long."""
frames_before_subscribed_max: Final = 10_000
"""Frames of channels that came before their `subscribed`.  Policy: reconnect."""
frames_before_subscribed_bytes_max: Final = 64 * 2**20
"""Bytes of such frames.  Policy: reconnect."""
channels_max: Final = 10_000
"""Channels that one connection was told of.  Policy: reconnect."""
unsent_bytes_max: Final = 2**20
"""What waits for a venue that does not read, answers to its pings above all.
Policy: the connection is closed."""
sync_queue_messages_max: Final = 200_000
"""Messages that wait for a snapshot over REST.  Policy: they are dropped, a newer one is asked
for."""
sync_queue_bytes_max: Final = 128 * 2**20
"""Bytes of those messages.  Policy: the same."""
sync_slice_rows: Final = 4_096
"""Orders of a snapshot that a stream takes at once, so that others go on meanwhile."""
sync_slice_messages: Final = 1_000
"""Messages that waited for a snapshot that a stream takes at once.
Policy: the next follow at the next tick."""
snapshot_ahead_ms_max: Final = 5_000
"""How long a whole book over REST waits for the stream to reach it.  Policy: another is asked for.
"""
snapshot_retry_ms_min: Final = 500
snapshot_retry_ms_max: Final = 8_000
"""Waits before a snapshot is asked for again, doubled from min to max.  Policy: ask."""
snapshot_failures_max: Final = 5
"""Requests for a snapshot that failed in a row.  Policy: reconnect."""
auction_retry_ms: Final = 5_000
"""Until a snapshot is asked for again that an auction made no book."""
audit_interval_seconds_default: Final = 600
"""Between two comparisons of a LIVE book with the venue's own; see ORDERTAPE_AUDIT_INTERVAL."""
audit_interval_seconds_min: Final = 10
audit_interval_seconds_max: Final = 86_400
"""What ORDERTAPE_AUDIT_INTERVAL may be.  Policy: refused."""
audit_retry_ms: Final = 60_000
"""Until a comparison that came to nothing is tried again.  Policy: try again."""
audit_second_read_ms: Final = 5_000
"""Between the two reads of a book without a sequence: what differs in both is a difference."""
audit_ms_max: Final = 120_000
"""From the beginning of a comparison to its end.  Policy: it came to nothing."""
gather_events_max: Final = 64
"""Events of messages that a socket hands over together, in one batch.
Policy: the batch is made."""
gather_ms_max: Final = 2
"""How long such an event waits for others.  Policy: the batch is made."""
emptied_orders_max: Final = 100_000
"""Orders emptied by trades whose end is still to come.
Policy: the oldest is forgotten, its end counts as one of an order that never rested."""
coinbase_silence_ms: Final = 5_000
"""No message at all for this long, where a heartbeat comes every second.
Policy: STALE, then reconnect."""
maintenance_ms_max: Final = 120_000
"""A venue's announced pause (Bitfinex: at most 120 s); the book is kept, STALE.
Policy: reconnect."""
resyncs_in_row_max: Final = 3
"""Resyncs on one connection, none of which led to a settled LIVE.  Policy: reconnect."""
live_settled_ms: Final = 10_000
"""LIVE for this long: the connection proved itself; resyncs and backoff count from zero."""
stream_errors_kept: Final = 20
"""Errors of a stream kept as text.  Policy: the oldest is dropped."""
stream_rate_seconds: Final = 10
"""Rates of a stream are means over this many whole seconds."""
stream_tick_ms: Final = 10
"""A connected stream is told this often that time passes."""

ready_disk_bytes_min: Final = 256 * 2**20
"""Free where the data folder lies: less than some segments of a journal ends in no room for one.
Policy: /readyz answers 503."""
clock_offset_seconds: Final = 60
"""The offset of a venue's clock is the least delay of this long and of as long before."""
unsynced_batches_max: Final = 65_536
"""Batches that wait for a sync, of which the delay is measured.  Policy: the oldest is not."""

shown_text_max: Final = 400
"""Characters of a text from outside that a sentence shows.  Policy: cut."""
name_text_max: Final = 64
"""Characters of a symbol or of a venue's name as somebody gives it.  Policy: refused."""
start_exchanges_max: Final = 64
"""Venues that one start names.  Policy: refused."""
request_body_bytes_max: Final = 64 * 2**10
"""The body of one request.  Policy: refused."""

# Captures ----------------------------------------------------------------------------------------
capture_frame_bytes_max: Final = 2**20
"""Text in one piece of compressed data of a capture.  Policy: it is closed, the next begun."""
capture_frame_seconds_max: Final = 10
"""Time that one such piece spans.  Policy: it is closed, the next begun."""
capture_line_bytes_max: Final = 128 * 2**20
"""One line of a capture.  Policy: the file is refused."""

# Connections -------------------------------------------------------------------------------------
connects_per_minute_max: Final = 18
"""To one venue by one process (Bitfinex allows 20).  Policy: wait."""
reconnect_backoff_ms_min: Final = 250
reconnect_backoff_ms_max: Final = 30_000
"""Waits between attempts double from min to max, with full jitter; LIVE resets them.
Policy: it goes on to try at max."""
clock_refused_ms: Final = 30_000
"""Before the next attempt where a venue finds our signature too old or too new: a clock that is
wrong may be set right.  Policy: one attempt in this time.
"""
connect_timeout_ms: Final = 10_000
"""To open a socket and finish its handshake.  Policy: give up, back off."""
subscribe_timeout_ms: Final = 10_000
"""From opened to the snapshot.  Policy: reconnect."""
keeper_restart_ms: Final = 10_000
"""A keeper that ended on its own is started again this long after its last start at the soonest."""
rest_timeout_ms: Final = 30_000
"""From a REST request to the last byte of its answer.  Policy: given up, asked again."""
rest_silence_ms: Final = 10_000
"""To connect, and between two bytes of an answer.  Policy: given up, asked again."""
rest_body_bytes_max: Final = 64 * 2**20
"""The body of an answer, unpacked (a whole book: 7 MB).  Policy: given up, asked again."""
rest_requests_per_second_max: Final = 5
"""To one venue by one process (Coinbase allows 10).  Policy: wait."""
rest_ban_ms_default: Final = 1_000
"""How long nothing is asked after a 429 that does not say it."""
rest_ban_ms_max: Final = 600_000
"""How long nothing is asked after a 429, whatever it says.  Policy: asked again."""
products_timeout_ms: Final = 5_000
"""To fetch a venue's list of markets.  Policy: symbols are resolved without it."""
products_bytes_max: Final = 16 * 2**20
"""Such a list.  Policy: as if there were none."""
keeper_round_ms_max: Final = 300_000
"""One round of the keeper over all markets.  Policy: it counts as hanging; whoever started it ends
it and starts it again."""
keeper_pause_ms: Final = 1_000
"""Between two rounds of the keeper over all markets, and two looks for its lock."""
stop_timeout_ms: Final = 10_000
"""From the wish to stop to the end of the process.  Policy: then it is ended."""
child_start_timeout_ms: Final = 30_000
"""From starting a child process to its first line.  Policy: it is ended, the start has failed."""
child_stop_ms_min: Final = 200
"""What the last of several children gets to leave when the others took all the time."""
child_lines_kept: Final = 20
"""Lines of a child's stderr kept to explain its end.  Policy: the oldest is dropped."""
status_write_ms: Final = 1_000
"""status.json of a stream is replaced this often."""
status_stale_ms: Final = 5_000
"""An older status.json says nothing about now.  Policy: its collector counts as gone."""

status_tape_ms: Final = 5_000
"""`ordertape status --watch` looks again this often what the tapes hold."""

# PostgreSQL --------------------------------------------------------------------------------------
database_start_seconds_max: Final = 3_600
"""Until the embedded server answers: recovery after a crash may take long.  Policy: give up."""
database_stop_ms: Final = 6_000
"""For the embedded server to end in order.  Policy: at once, it recovers at its next start."""
database_look_ms: Final = 50
"""Between two looks whether the embedded server answers."""
database_log_bytes_max: Final = 10 * 2**20
"""server.log of the embedded server, looked at when it starts.  Policy: kept as server.log.1."""
database_socket_path_bytes_max: Final = 100
"""Path of the embedded server's socket, of the 107 bytes that an address holds.
Policy: another folder."""
database_guard_ms: Final = 20_000
"""For the process that ends the embedded server to begin its watch.
Policy: it is ended, the start has failed."""
database_leftover_ms_max: Final = 20_000
"""For what a killed server left running to end.  Policy: it is ended."""
database_connect_timeout_ms: Final = 10_000
"""To reach a server and be let in.  Policy: it counts as away."""
database_lock_timeout_ms: Final = 500
"""To wait for a lock that stops readers (partitions, views); less than the second after which
PostgreSQL looks for deadlocks, so that a change gives way and nobody's statement is ended.
Policy: given up, tried next round."""
database_drop_tries: Final = 20
"""Waits of that length for tables that are to be dropped and are in use.
Policy: refused, nothing was dropped."""
database_page_ms_max: Final = 2_000
"""A reader's query for one page, or for gaps: it finds them by an index and looks at
``page_scan_rows_max`` rows at the most.  Policy: it is canceled."""
database_statement_timeout_ms: Final = 10_000
"""A reader's query that reads all of a market: its figures, its book replayed.
Policy: it is canceled."""
database_grace_ms: Final = 1_000
"""What a statement's answer may take longer than the statement.  Policy: the server keeps no time
any more, the connection is given up."""
database_answer_ms_max: Final = 60_000
"""One transaction of the follower, waiting for locks with it.
Policy: the connection is given up, the tape keeps the events for the next."""
database_silent_ms_max: Final = 120_000
"""A keeper that follows and has not said for so long how far, which it says once a second between
transactions.
Policy: it does not count as following any more."""
database_maintenance_ms_max: Final = 600_000
"""One round of partitions, retention and thinning.  Policy: given up, the next goes on."""
database_keepalive_seconds: Final = 10
"""Silence on a network connection until it is probed, both ways.
Policy: after three probes without an answer it counts as gone, and its locks are let go."""
database_pool_wait_ms: Final = 5_000
"""For a repository to wait for one of several connections.  Policy: refused."""
database_batch_rows: Final = 50_000
"""Events in one COPY and one transaction.  Policy: the next begins."""
database_batches_apart_max: Final = 256
"""Of them in batches as the tape has them, few events each in a quiet market.
Policy: they are joined."""
database_batch_rows_min: Final = 500
"""The same, halved down to this while a database is too slow for more within
database_answer_ms_max.  Policy: tried again."""
lives_pause_ms: Final = 500
"""Between two looks at what ended on tapes that are followed to their ends: a row a transaction
would cost more than all its events."""
database_idle_ms: Final = 10
"""Between two looks of the follower at the tapes while nothing comes."""
database_flush_ms: Final = 200
"""Events that are durable wait at most this long for more of them.  Policy: they are copied."""
database_backoff_ms_min: Final = 250
database_backoff_ms_max: Final = 5_000
"""Waits between attempts to reach a database that is away, doubled from min to max.
Policy: it goes on to try at max."""
database_maintenance_ms: Final = 30_000
"""Between two rounds of partitions, retention and thinning."""
database_days_ahead: Final = 1
"""Days whose partitions are made before they begin."""
database_days_default: Final = 7
"""Days of events PostgreSQL keeps; see ORDERTAPE_DATABASE_DAYS.  Policy: older days are dropped."""
database_leaves_known: Final = 4_096
"""Partitions whose first and last event a reader keeps in mind.  Policy: the least used is
dropped."""
demo_database_rows_max: Final = 2_000_000
"""Events of a demonstration's market in PostgreSQL.  Policy: the oldest part is dropped."""
database_simulated_parts: Final = 4
"""Parts that those events come in."""
database_snapshots_last: Final = 10
"""Newest whole books of a market that stay.  Policy: older ones are thinned."""
database_snapshots_hours: Final = 24
"""Hours of which one whole book each stays.  Policy: of the days before, one each."""
database_snapshot_orders_max: Final = 1_000_000
"""Orders of a whole book in one row: JSONB holds 256 MiB.
Policy: no row, the tape has the book."""
page_rows_default: Final = 1_000
"""Events in one page where the request does not say."""
page_rows_max: Final = 10_000
"""Events in one page.  Policy: refused."""
page_scan_rows_max: Final = 50_000
"""Events that one filtered page of ``L3Repository`` looks at, and that one query looks at for a
page of the interface where PostgreSQL alone has them.
Policy: the page is short and has a cursor; the interface asks the next query."""

# Roles -------------------------------------------------------------------------------------------
lock_patience_ms: Final = 1_000
"""How long a role waits for its lock, which whoever looks at it takes for a moment.
Policy: refused."""
lock_poll_ms: Final = 10
"""Between two tries to take a role's lock."""
role_poll_ms: Final = 200
"""Between two looks whether a role that another process has was let go."""
role_restart_ms_min: Final = 200
role_restart_ms_max: Final = 30_000
"""Waits before a role that ended is started again; they double from min to max.
Policy: it goes on to be started at max."""
role_settled_ms: Final = 10_000
"""A role that ran for so long proved itself: it is started again at once, and its next waits begin
at min again."""
role_beat_ms: Final = 1_000
"""Between two signs of life of a role, and two looks for them."""
role_silence_ms: Final = 10_000
"""A role that gives none for so long hangs or is stopped.  Policy: it is ended, started again."""
database_begin_ms: Final = 5_000
"""What a server that begins waits for its database.  Policy: it answers without it meanwhile."""
role_stop_ms: Final = 6_000
"""From the wish that the roles end to the end of all, so that a server ends within
stop_timeout_ms.  Policy: then they are ended."""
keeper_stop_ms_min: Final = 2_000
"""What the keeper, which ends last, gets of it at the least.  Policy: then it is ended."""
server_drain_ms: Final = 1_000
"""What requests under way get to be answered when the server ends.  Policy: they are canceled."""
collector_streams_max: Final = 100
"""Streams of one collector.  Policy: refused."""
room_retry_ms: Final = 2_000
"""Between two looks whether a full disk has room again.  Policy: the stream waits, CONNECTING."""
wanted_retry_ms: Final = 1_000
"""Between two tries to go on with a wanted stream whose market another process writes."""
products_seconds_max: Final = 600
"""A venue's list of markets is fetched again when it is older.  Policy: fetched when next asked."""
memory_segment_bytes: Final = 8 * 2**20
"""A segment of the journal of a stream that does not persist.  Policy: roll."""
memory_segments_kept: Final = 4
"""Segments of such a journal.  Policy: the oldest is removed."""
control_line_bytes_max: Final = 4 * 2**20
"""One message on a control socket.  Policy: the connection is closed."""
control_request_bytes_max: Final = 64 * 2**10
"""One request to a control socket.  Policy: refused, the connection is closed."""
control_clients_max: Final = 16
"""Connections to one control socket.  Policy: the newest is closed."""
control_requests_max: Final = 32
"""Requests of one connection that are worked on.  Policy: the next is read when one is answered."""
control_buffer_bytes_max: Final = 8 * 2**20
"""Bytes that wait for one client of a control socket.  Policy: it is disconnected."""
control_watermark_ms: Final = 100
"""Between two watermarks of a stream that goes on."""
control_reconnect_ms_min: Final = 20
control_reconnect_ms_max: Final = 200
"""Waits between attempts to reach a control socket; they double from min to max.
Policy: it goes on to try at max."""
control_stop_ms_max: Final = 4_000
"""From the request to stop a stream to its answer.  Policy: ChildFailed, in a sentence."""
control_answer_ms_max: Final = 20_000
"""From a request to its answer, reconnects included.  Policy: ChildFailed."""

# The account -------------------------------------------------------------------------------------
open_files_min: Final = 256
"""What serve, demo, collect, a collector and a keeper must be allowed to open (ulimit -n).
Policy: refused in a sentence."""
address_space_bytes_min: Final = 768 * 2**20
"""What a process must be allowed to map (ulimit -v): loading the libraries takes 400 MB.
Policy: refused in a sentence."""

heaps_max: Final = 1
"""Heaps of the C library in a role.  Policy: threads share them."""
heap_piece_bytes_max: Final = 256 * 2**10
"""Of a role's heap.  Policy: larger pieces are the machine's, and go back to it when freed."""
heap_unused_bytes_max: Final = 2**20
"""At the end of a role's heap.  Policy: what is beyond goes back to the machine."""
heap_trim_ms: Final = 30_000
"""Until what is unused within a role's heap goes back to the machine, too."""

# The terminal ------------------------------------------------------------------------------------
view_levels_shown: Final = 20
"""Levels a side of the live view, where the terminal is high enough."""
view_events_shown: Final = 25
"""Events of the live view, where the terminal is high enough."""
view_wide_columns: Final = 136
"""From this width on, book and events stand side by side."""
view_rate_seconds: Final = 5
"""Rates are means over this many whole seconds."""
view_picture_ms: Final = 200
"""Between two pictures of the live view."""
view_line_ms: Final = 1_000
"""Between two of its lines where it is written into a pipe."""
view_wait_ms: Final = 100
"""Between two looks for a market that has no tape yet."""
progress_after_ms: Final = 2_000
"""What takes no longer than this shows no progress bar."""
progress_picture_ms: Final = 100
"""Between two pictures of a progress bar."""

# Live readers and the interface ------------------------------------------------------------------
live_events_kept_default: Final = 100_000
"""Events of a stream in memory for live readers; see L3_MAX_ORDERS_MEMORY.
Policy: older ones are read from the tape."""
live_events_kept_min: Final = 1_000
"""The least that L3_MAX_ORDERS_MEMORY may be.  Policy: refused."""
live_events_kept_seconds: Final = 600
"""How old they may be: memory is what it will be after ten minutes, however slow a market is.
Policy: older ones are read from the tape."""
live_batches_apart_max: Final = 256
"""Of them in batches as they came, of an event or two each.  Policy: older ones are joined, in a
tenth of the memory."""
resume_events_max: Final = 100_000
"""Events read from the tape for a reader who resumes.  Policy: a whole book instead."""
client_mailbox_bytes_max: Final = 3 * 2**20
"""What waits for one WebSocket client; half of it warns.  With what its connection and the kernel
hold it stays under 4 MiB.  Whole books, whose texts clients share, are not in it.  Policy: closed
with the place to resume from; statistics and statuses are conflated to the newest before."""
client_books_max: Final = 2
"""Whole books of one market that wait for a client: one under way and the one behind it.  Policy:
closed as too slow."""
client_stalled_ms: Final = 5_000
"""Between two looks at what a client takes of a whole book that waits for it.  Policy: who has
taken nothing at two of them in a row is closed as too slow."""
client_connection_bytes_max: Final = 64 * 2**10
"""What a client's connection holds before its mailbox does.  Policy: what comes waits there."""
client_kernel_bytes_max: Final = 128 * 2**10
"""What the kernel is asked to hold for a client (it takes twice that, for its own account, too):
of its own accord it would take 4 MiB, and a client that stands still would be noticed late.
Policy: what comes waits in the connection."""
client_frame_orders: Final = 256
"""Orders in one frame of a book; with as many on a side it goes out in such frames, which all
depths share, as the connection takes them."""
beat_turn_clients: Final = 100
"""Clients who are told their statistics before events and requests have their turn again.  Policy:
a beat that is due before the last one is through is left out."""
client_turn_bytes: Final = 256 * 2**10
"""What goes to one client of what waits for it before the others have their turn."""
client_batch_bytes_max: Final = 256 * 2**10
"""Events gathered for one ``l3_orders``.  Policy: it goes out before ``batch_ms`` are over."""
client_begin_tries: Final = 3
"""Books that are made for one client because more events than a mailbox holds came meanwhile.
Policy: closed as too slow."""
client_message_bytes_max: Final = 64 * 2**10
"""One message from a WebSocket client, who has nothing to say.  Policy: closed."""
client_take_events: Final = 256
"""Events of a resumption that are written at once."""
client_close_ms: Final = 5_000
"""To tell a client that its connection ends.  Policy: it ends untold."""
client_flush_ms: Final = 3_000
"""For what was sent before the end of a WebSocket to leave.  Policy: the connection is cut."""
client_batch_ms_max: Final = 10_000
"""``batch_ms`` of a WebSocket.  Policy: refused."""
live_batch_ms_default: Final = 10
"""How long events are gathered into one batch of ``ordertape.live``."""
live_connect_ms: Final = 10_000
"""For one connection of ``ordertape.live`` to be there.  Policy: tried again."""
live_reconnect_ms_min: Final = 50
live_reconnect_ms_max: Final = 2_000
"""Waits between tries to reach the server again; they double from min to max.
Policy: it goes on to try at max, until live_patience_ms are over."""
live_patience_ms: Final = 30_000
"""How long ``ordertape.live`` waits for a server that went away.  Policy: ServerGone."""
live_statistics_ms_default: Final = 1_000
"""Between two ``l3_statistics`` of a stream, where a WebSocket does not say ``statistics_ms``."""
live_statistics_ms_min: Final = 100
"""The least that ``statistics_ms`` may be.  Policy: refused."""
live_statistics_ms_max: Final = 60_000
"""The most that ``statistics_ms`` may be.  Policy: refused."""
live_statistics_kept_ms: Final = 50
"""Statistics that old are sent again rather than made anew, for clients of other rates."""
opening_kept_ms: Final = 250
"""A book made for a client serves those who begin so soon after, with what came since.  Where
making one took long, it serves ten times as long."""
opening_events_max: Final = 10_000
"""Events behind such a book.  Policy: the next client has a book made."""
streams_look_ms_min: Final = 100
streams_look_ms_max: Final = 1_000
"""How soon after a change, and how often at least, the server looks which streams run.
Policy: it looks."""
status_differs_ms: Final = 1_000
"""What a collector says of its state counts against what its tape says after this long."""
replica_poll_ms_max: Final = 2
"""How often a replica looks for new frames at least.  Policy: it looks."""
replica_catch_up_ms: Final = 2_000
"""How long a reader's first book waits for a replica that is just being made.
Policy: its status comes first."""
replica_retry_ms: Final = 1_000
"""A replica that failed begins anew after this long."""
page_scan_ms_max: Final = 1_000
"""How long one page may look for events that pass its filters.  Policy: a short page."""
figures_ids_gathered: Final = 2_000_000
"""Order ids that statistics gather before they count the different ones."""
figures_ids_kept: Final = 4_000_000
"""Different order ids of closed files that stay in mind, 16 bytes each, all markets together.
Policy: the market asked longest ago is counted anew; files beyond are counted each time."""
snapshot_depth_default: Final = 100
"""Orders a side in an answer; 0 shows all."""
depth_max: Final = 2**31
"""Orders a side that may be asked for.  Policy: refused."""
api_threads: Final = 4
"""Answers that read a tape or a database at the same time.  Policy: the next waits."""
api_long_threads: Final = 2
"""Of the answers that PostgreSQL alone can give by reading all of a market (figures, a book
replayed); fewer than connections to it, so that they hold up no page.  Policy: the next waits
api_long_wait_ms."""
api_long_wait_ms: Final = 1_000
"""For one of those to begin.  Policy: refused."""
live_threads: Final = 4
"""First books, and beginnings and ends of streams, that are worked on at the same time.
Policy: the next waits."""
api_database_connections_max: Final = 4
"""Connections to PostgreSQL of the server's answers, or of one repository.  Policy: the next
waits."""
api_database_wait_ms: Final = 500
"""For an answer to wait for one of those; one that asks twice still has time for the tape within
two seconds.  Policy: the tape answers, or where none does it is refused."""
api_database_connect_ms_max: Final = 2_000
"""For an answer's connection to be let in.  Policy: the tape answers."""
api_database_retry_ms: Final = 2_000
"""Until the next try where that failed.  Policy: the tape answers meanwhile."""
api_stretches_ms: Final = 200
"""How long what PostgreSQL holds of a market is believed: newer rows are on the tape, and a
partition that is gone is noticed."""
api_scan_rows: Final = 262_144
"""Rows that one query for a page may look at, so that it ends long before its timeout.
Policy: the next query goes on."""
api_statement_ms_max: Final = 1_000
"""A query for a page that the tape has, too.  Policy: it is canceled, the tape answers; where only
the database has the events it gets database_page_ms_max."""

# Access ------------------------------------------------------------------------------------------
keys_max: Final = 1_000
"""API keys of a data folder.  Policy: refused."""
keys_file_bytes_max: Final = 2**20
"""The file of those keys.  Policy: no key is good until it is mended."""
keys_look_ms: Final = 250
"""Between two looks whether the key of an open WebSocket still stands, so that one that was revoked
closes it within a second."""
revoked_flush_ms: Final = 500
"""For a WebSocket whose key was revoked to be told so.  Policy: the connection is cut."""
connections_max: Final = 4_096
"""Connections to the server.  Policy: the newest is closed at once."""
connections_per_address_max: Final = 256
"""Of them, from one address of another machine.  Policy: the newest is closed at once."""
sockets_max: Final = 2_048
"""WebSockets in all, and from this machine, where proxies are.  Policy: refused with 503."""
sockets_per_address_max: Final = 128
"""WebSockets from one address of another machine.  Policy: refused with 429."""
socket_messages_per_minute_max: Final = 100
"""Messages of one WebSocket client, who has nothing to say.  Policy: closed with code 1008."""
socket_frames_per_minute_max: Final = 600
"""Of one WebSocket client, pings, pongs and parts of messages: what no application hears of.
Policy: closed with code 1008, and cut where it does not read that.
"""
socket_ping_seconds: Final = 20
"""Between two pings to a WebSocket client, and for its answer.  Policy: closed with code 1011."""
requests_per_second_max: Final = 100
"""Requests of one key, or of one address of another machine, that go on for long.
Policy: refused with 429 and the seconds to wait."""
requests_burst_max: Final = 1_000
"""Of them, at once.  Policy: the same."""
local_requests_per_second_max: Final = 5_000
"""Requests from this machine without a key, all together, that go on for long.
Policy: refused with 429 and the seconds to wait."""
local_requests_burst_max: Final = 20_000
"""Of them, at once.  Policy: the same."""
clients_known: Final = 10_000
"""Clients whose rate of requests stays in mind.  Policy: who asked longest ago begins anew."""
request_head_bytes_max: Final = 32 * 2**10
"""Request line and headers.  Policy: refused with 400."""
request_head_ms_max: Final = 10_000
"""From a connection's beginning, or its last answer's end, to the end of a request's headers.
Policy: closed."""
request_body_ms_max: Final = 10_000
"""From a request's headers to the end of its body.  Policy: refused with 408."""
answers_unread_bytes_max: Final = 128 * 2**20
"""Of whole answers that their clients have not taken yet, beyond what the kernel holds of them.
Policy: the connection whose answer has lain there the longest is cut."""
answer_stuck_ms_max: Final = 30_000
"""How long a client may take nothing of an answer.  Policy: the connection is cut."""
keep_alive_seconds: Final = 5
"""A connection without a request.  Policy: closed."""
listen_backlog: Final = 2_048
"""Connections that the kernel holds until the server takes them.  Policy: the kernel's."""

# Page --------------------------------------------------------------------------------------------
page_handles_max: Final = 20_000
"""Orders of a market that a page may ask for by number.  Policy: what is shown no more and was used
least is forgotten."""
page_trades_max: Final = 5_000
"""Trades between two looks of a page, an eighth of a second apart or so.  Policy: the oldest are
dropped and counted."""
page_linger_ms: Final = 30_000
"""How long a live picture goes on without readers.  Policy: then its thread ends."""
page_messages_per_minute_max: Final = 2_400
"""Messages of one page, which says four times a second of each market what it applied.
Policy: closed with code 1008.
"""
page_request_bytes_max: Final = 4_096
"""One message from a page.  Policy: refused in a sentence."""
page_markets_max: Final = 64
"""Markets that pages, alert rules and requests for large orders look at, a thread and a book each.
Policy: one without readers ends, else another is refused in a sentence."""
page_views_max: Final = 16
"""Ways of looking at one market (group, least size, what is large) that are drawn at once: each
costs something an event.  Policy: another one is refused in a sentence."""
page_streams_max: Final = 8
"""Markets that one page's socket shows.  Policy: refused in a sentence."""
page_waiting_bytes_max: Final = 512 * 2**10
"""What waits for one page and may be left out: heat, ladder, queues.  Policy: it is dropped and
counted, and everything sent anew once the page takes frames again."""
page_waiting_texts_max: Final = 5_000
"""Trades, large orders and alerts that wait for one page.  Policy: the oldest are dropped and
counted; the page asks for them over REST."""
page_unapplied_ms_max: Final = 3_000
"""How old the last frame may be that a page says it applied.  Policy: as if too much waited."""
page_alive_ms: Final = 3_000
"""After so much silence a page is told that its socket is alive: a replay that stands says nothing,
and the page takes 10 s of silence for a socket that is lost."""
page_silent_ms_max: Final = 30_000
"""The same, of a page that is not paused.  Policy: closed with 4008."""
page_large_max: Final = 2_000
"""Large orders of a view that are alive.  Policy: newer ones are counted, not followed."""
tile_rows_max: Final = 4_096
"""Rows of a tile.  Policy: those far from the middle of its prices are left out."""
tile_events_at_once: Final = 16_384
"""Events of a tile between two looks whether its client still waits."""
box_events_max: Final = 250_000
"""Events of a stretch of time and prices in one file.  Policy: refused."""
bookmarks_max: Final = 1_000
"""Views that are kept with a note.  Policy: refused; the others stay."""
recent_tiles_max: Final = 8
"""Markets, each in one group of prices, whose newest 9 to 34 minutes are kept as tiles while a page
looks.  Policy: the one that was asked for longest ago goes."""
tiles_kept: Final = 128
"""Finished tiles of each level of detail that the server keeps in mind, gzipped, 2 MB at the very
most and mostly below 0.1.  Policy: the least used is made anew from the tape."""
replay_picture_ms: Final = 100
"""Between two pictures of a replay."""
replay_step_ms_max: Final = 400_000
"""How far a step to the next event goes column by column.  Policy: farther, the picture begins anew
there."""
replay_marker_events_max: Final = 2_000_000
"""Events that are searched for the next marker.  Policy: refused in a sentence."""
bases_touch_kept: Final = 16_384
"""Whole books of the archive whose best prices the server keeps in mind.  Policy: the least used
is read again."""

# Analysis ----------------------------------------------------------------------------------------
flow_rows_max: Final = 100_000
"""Seconds of a flow, and large trades that were followed to the end, that nobody asked for.
Policy: the oldest are dropped and counted."""
flow_cells_max: Final = 4_000_000
"""Lifetimes and cohorts of a flow that nobody asked for.  Policy: the same."""
flow_trades_max: Final = 262_144
"""Trades whose mid a flow looks at again within a minute.  Policy: those around the mid of the
newest are taken for it, others are left out of realised spreads and counted."""
flow_shocks_max: Final = 4_096
"""Large trades whose recovery a flow follows at once.  Policy: others are left out and counted."""
flow_held_max: Final = 1_000_000
"""Cancels of the last second that a trade may explain yet.  Policy: the oldest is believed."""
analysis_windows_max: Final = 10_000
"""Windows of one analysis.  Policy: refused."""
analysis_answer_events_max: Final = 5_000_000
"""Events that one such answer walks, about ten seconds of work.  Policy: refused."""
analysis_step_seconds_max: Final = 86_400
"""Seconds of one window.  Policy: refused."""
analysis_lives_max: Final = 5_000_000
"""Orders that one fit looks at.  Policy: refused."""
analysis_fit_seconds_max: Final = 31 * 86_400
"""Seconds of a tape that are fitted to at once: each has its numbers in memory.  Policy: a longer
time is refused."""
analysis_trades_max: Final = 100_000
"""Market orders that one fit looks at, some ten seconds of work.  Policy: refused."""

# Alerts ------------------------------------------------------------------------------------------
alert_rules_max: Final = 256
"""Alert rules of a server.  Policy: another one is refused."""
alert_markets_max: Final = 32
"""Markets that have alert rules, each has a thread and a book.  Policy: others' are refused."""
alerts_per_minute_default: Final = 10
"""Alerts of one rule in a minute where it does not say.  Policy: the others are counted, and told
with the next one."""
alerts_per_minute_max: Final = 600
"""Alerts that one rule may ask for in a minute.  Policy: refused."""
alert_subjects_kept: Final = 10_000
"""What a rule fired for, kept in mind so that it does not fire for it again, and alerts of all
rules.  Policy: the oldest is forgotten."""
alert_quantile_ms: Final = 60_000
"""How old a quantile of what rests may be before it is measured again."""
alerts_kept: Final = 100_000
"""Alerts in the database.  Policy: the oldest go."""
alerts_remembered: Final = 1_000
"""Alerts of a server on which nothing persists.  Policy: the oldest go."""
alerts_waiting_max: Final = 10_000
"""Alerts that wait for a database that is away.  Policy: the oldest are dropped and counted."""
alerts_page_default: Final = 100
"""Alerts in one page where the request does not say."""
alerts_page_max: Final = 1_000
"""Alerts, or large orders, in one page.  Policy: refused."""
alerts_retry_ms: Final = 2_000
"""Between two tries to reach the database for rules and alerts."""
alerts_reload_ms: Final = 10_000
"""Between two looks at the rules that the database holds: an answer of its may have been lost, and
a market may have come to have a tape."""
alerts_patience_ms: Final = 30_000
"""How long the database may be away before the log says that alerts wait for it."""
large_orders_wait_ms: Final = 10_000
"""How long a request for large orders waits for the market's book.  Policy: answered with 503."""
webhook_waiting_max: Final = 1_000
"""Alerts that wait for one webhook.  Policy: the oldest are dropped and counted."""
webhook_ms_max: Final = 5_000
"""One try to reach a webhook, from connecting to its answer.  Policy: tried again."""
webhook_tries: Final = 5
"""Tries of one alert at one webhook.  Policy: then it is dropped and counted."""
webhook_backoff_ms: Final = 1_000
"""Before the second try; it doubles with each.  The pause is between half of it and all."""

# Logs --------------------------------------------------------------------------------------------
log_file_bytes_max: Final = 10 * 2**20
"""app.log is rotated at this size.  Policy: rotate."""
log_files_kept: Final = 5
"""Rotated files kept.  Policy: the oldest is replaced."""
log_repeat_ms_min: Final = 60_000
"""Between two lines of what uvicorn logs at one place: whoever connects may have it say the same as
often as he likes.  Policy: those between are counted, and the next line says how many."""

# Ids ---------------------------------------------------------------------------------------------
dictionary_terms_max: Final = 10_000_000
"""Ids that no codec holds, a market.  Policy: refused, the stream is FAILED."""

# Simulator ---------------------------------------------------------------------------------------
simulator_client_buffer_bytes_max: Final = 8 * 2**20
"""Bytes that wait for one client of the simulated venue.  Policy: it is disconnected."""
simulator_channels_max: Final = 25
"""Channels of one connection, as at the venue.  Policy: error 10305."""
simulator_request_bytes_max: Final = 64 * 2**10
"""One message from a client of the simulated venue.  Policy: it is disconnected."""
simulator_texts_kept: Final = 65_536
"""Prices whose texts stay in mind.  Policy: the least used is written anew."""
simulator_lag_ms_max: Final = 1_000
"""How far the simulated venue may fall behind the wall clock.  Policy: its time stands still."""
simulator_segment_bytes: Final = 1_448
"""Payload of a TCP segment, for receive times of frames made without sockets.  Policy: none."""
