import { useEffect, useRef } from "react";

/** A canvas as large as its box; `draw` is called in CSS pixels whenever `redraw` asks for it. */
export function useCanvas(
  draw: (context: CanvasRenderingContext2D, width: number, height: number) => void,
  redraw: (again: () => void) => () => void,
): React.RefObject<HTMLCanvasElement | null> {
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(draw);
  useEffect(() => {
    latest.current = draw;
  });
  useEffect(() => {
    const element = canvas.current;
    const box = element?.parentElement;
    const context = element?.getContext("2d");
    if (!element || !box || !context) return;
    let waiting = 0;
    // As last laid out: a box that is asked lays out the whole page first.
    let [width, height] = [0, 0];
    const paint = (): void => {
      waiting = 0;
      const ratio = Math.min(2, window.devicePixelRatio || 1);
      if (element.width !== Math.round(width * ratio) || element.height !== Math.round(height * ratio)) {
        element.width = Math.round(width * ratio);
        element.height = Math.round(height * ratio);
        element.style.width = `${width}px`;
        element.style.height = `${height}px`;
      }
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      if (width > 0 && height > 0) latest.current(context, width, height);
    };
    const again = (): void => {
      waiting ||= requestAnimationFrame(paint);
    };
    const watch = new ResizeObserver(() => {
      [width, height] = [box.clientWidth, box.clientHeight];
      again();
    });
    watch.observe(box);
    const end = redraw(again);
    again();
    return () => {
      end();
      watch.disconnect();
      cancelAnimationFrame(waiting);
    };
  }, [redraw]);
  return canvas;
}
