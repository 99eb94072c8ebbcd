/** A short tone; off unless somebody wants it. */
let context: AudioContext | null = null;

/** Higher for asks, lower for bids. */
export function ring(side: string | null | undefined): void {
  context ??= new AudioContext();
  // A browser keeps quiet until the page was clicked once.
  if (context.state === "suspended") void context.resume();
  const tone = context.createOscillator();
  const volume = context.createGain();
  const now = context.currentTime;
  tone.frequency.value = side === "ask" ? 880 : side === "bid" ? 523 : 659;
  volume.gain.setValueAtTime(0.12, now);
  volume.gain.exponentialRampToValueAtTime(0.001, now + 0.25);
  tone.connect(volume).connect(context.destination);
  tone.start(now);
  tone.stop(now + 0.26);
}
