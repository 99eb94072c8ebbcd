/** Drawn, not written: a system's fonts lack such signs. */
const PATHS = {
  play: "M6 4l10 6-10 6z",
  pause: "M6 4h3v12H6zM11 4h3v12h-3z",
  stepBack: "M4 4h2v12H4zM15 4v12l-8-6z",
  step: "M14 4h2v12h-2zM5 4l8 6-8 6z",
  live: "M10 5a5 5 0 1 0 0 10 5 5 0 0 0 0-10z",
  help: "M10 2a8 8 0 1 0 0 16 8 8 0 0 0 0-16zm-.9 11.2h1.9V15H9.1zm3.5-4.6c-.4.9-1.6 1.3-1.6 2.4v.4H9.2v-.6c0-1.8 1.7-2.2 1.7-3.3 0-.6-.4-1-1-1s-1.1.4-1.3 1.2l-1.7-.6C7.300 5.700 8.400 4.800 10 4.800c1.700 0 2.900 1 2.900 2.500 0 .500-.100.900-.300 1.300z",
  sun: "M10 6a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM9 1h2v3H9zM9 16h2v3H9zM1 9h3v2H1zM16 9h3v2h-3z",
  moon: "M13.500 13.500A7 7 0 0 1 8 3a7.500 7.500 0 1 0 9 9 7 7 0 0 1-3.500 1.500z",
  gear: "M8.500 2h3l.4 2 1.500.7 1.800-1 2 2-1 1.800.7 1.500 2 .4v3l-2 .4-.7 1.500 1 1.800-2 2-1.800-1-1.500.7-.4 2h-3l-.4-2-1.500-.7-1.800 1-2-2 1-1.800-.7-1.500-2-.4v-3l2-.4.7-1.500-1-1.800 2-2 1.800 1L8.100 4zM10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6z",
  panel: "M3 4h14v12H3zm9 1.500v9h3.500v-9z",
  tapes: "M3 3h14v4H3zM3 8h14v4H3zm0 5h14v4H3zM5 4.500h1.500v1H5zm0 5h1.500v1H5zm0 5h1.500v1H5z",
  pulse: "M1 9.500h4l2-6 4 13 3-9 1.200 2H19v1.800h-4.800l-.6-1-2.700 8.700-4-13-.9 3.500H1z",
  link: "M8 6H6a4 4 0 0 0 0 8h2v-2H6a2 2 0 0 1 0-4h2zm4 0h2a4 4 0 0 1 0 8h-2v-2h2a2 2 0 0 0 0-4h-2zM7 9h6v2H7z",
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg className="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d={PATHS[name]} fill="currentColor" fillRule="evenodd" />
    </svg>
  );
}
