/** One uPlot canvas. It follows the present, keeps its cursor in step with the page's other graphs. */
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { align, stack } from "../data/align";
import type { Line } from "../panels/panel";
import { chartOptions, readPalette, type ChartStyle } from "./chartOptions";

interface Props {
  lines: Line[];
  style: ChartStyle;
  rangeMs: number;
  stepMs: number;
  /** The right edge, ms. */
  endMs: () => number;
  onCursor: (ms: number | null) => void;
  label: string;
}

/** How often the window moves at most, ms. */
const MOVE_MS = 1_000;

export function Chart(props: Props) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [theme, setTheme] = useState(0);
  const { style } = props;
  const shape = JSON.stringify([style, theme]);

  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const changed = (): void => setTheme((n) => n + 1);
    media.addEventListener("change", changed);
    window.addEventListener("daywatch-theme", changed);
    return () => {
      media.removeEventListener("change", changed);
      window.removeEventListener("daywatch-theme", changed);
    };
  }, []);

  useEffect(() => {
    const element = host.current;
    if (!element) return;
    const size = (): { width: number; height: number } => ({
      width: Math.max(120, element.clientWidth),
      height: Math.max(80, element.clientHeight),
    });
    const range = (): [number, number] => {
      const end = latest.current.endMs();
      return [(end - latest.current.rangeMs) / 1000, end / 1000];
    };
    const cursor = (seconds: number | null): void =>
      latest.current.onCursor(seconds === null ? null : Math.round(seconds * 1000));
    const made = new uPlot(chartOptions(latest.current.style, readPalette(element), size(), range, cursor), data(latest.current), element);
    plot.current = made;
    const resized = new ResizeObserver(() => made.setSize(size()));
    resized.observe(element);
    const pauseMs = Math.max(MOVE_MS, latest.current.rangeMs / Math.max(1, element.clientWidth));
    const timer = setInterval(() => move(made, range()), pauseMs);
    return () => {
      clearInterval(timer);
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, props.rangeMs]);

  useEffect(() => {
    const made = plot.current;
    if (!made || made.series.length !== props.lines.length + 1) return;
    made.setData(data(props), true);
  }, [props.lines]);

  return <div class="plot" ref={host} role="img" aria-label={props.label} />;
}

function move(made: uPlot, [min, max]: [number, number]): void {
  made.setScale("x", { min, max });
}

function data({ lines, style, stepMs }: Props): uPlot.AlignedData {
  const points = lines.map((line) => line.points);
  return (style.stacked ? stack(points, stepMs) : align(points, stepMs)) as uPlot.AlignedData;
}
