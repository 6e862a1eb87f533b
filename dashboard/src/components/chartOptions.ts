/** How uPlot draws a graph: axes, colours, gaps, the shared cursor. */
import type uPlot from "uplot";
import { formatValue, type Unit } from "../format/units";

export interface ChartStyle {
  unit: Unit;
  stacked: boolean;
  atLeast: number | undefined;
  /** Number of lines. */
  lines: number;
  /** Colour slot of each line. */
  slots: number[];
}

/** Colours of the theme, resolved, since a canvas knows no CSS variables. */
export interface Palette {
  slots: string[];
  axis: string;
  grid: string;
  font: string;
}

export const COLOUR_SLOTS = 10;

export function readPalette(host: HTMLElement): Palette {
  const probe = document.createElement("span");
  host.append(probe);
  const resolve = (name: string): string => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const palette = {
    slots: Array.from({ length: COLOUR_SLOTS }, (_, i) => resolve(`--c${i}`)),
    axis: resolve("--soft"),
    grid: resolve("--line"),
    font: `12px ${getComputedStyle(host).fontFamily}`,
  };
  probe.remove();
  return palette;
}

/** A computed `rgb(…)` colour with an opacity. */
export function faded(colour: string, opacity: number): string {
  const parts = colour.match(/[\d.]+/g);
  return parts && parts.length >= 3 ? `rgba(${parts[0]}, ${parts[1]}, ${parts[2]}, ${opacity})` : colour;
}

/** The value axis: from zero where that hides nothing, else around the values. */
export function valueRange(min: number | null, max: number | null, atLeast: number | undefined): [number, number] {
  if (min === null || max === null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, atLeast ?? 1];
  if (min >= 0 && (atLeast !== undefined || min === max || min <= max * 0.75)) {
    const top = max > (atLeast ?? 0) * 1.001 ? max * 1.08 : (atLeast ?? 0);
    return [0, top > 0 ? top : 1];
  }
  const room = Math.max((max - min) * 0.15, Math.abs(max) * 0.002, 1e-9);
  return [min - room, max + room];
}

/** Points that have holes on both sides: without a dot of their own they would not be seen. */
export function lonely(values: ArrayLike<number | null | undefined>): number[] {
  const known: number[] = [];
  for (let i = 0; i < values.length; i += 1) if (values[i] !== undefined) known.push(i);
  return known.filter((at, i) => {
    const blank = (n: number | undefined): boolean => n === undefined || values[n] === null;
    return values[at] !== null && blank(known[i - 1]) && blank(known[i + 1]);
  });
}

export function chartOptions(
  style: ChartStyle,
  palette: Palette,
  size: { width: number; height: number },
  window: () => [fromS: number, toS: number],
  onCursor: (seconds: number | null) => void,
): uPlot.Options {
  const colour = (i: number): string => palette.slots[(style.slots[i] ?? i) % COLOUR_SLOTS]!;
  const lines = Array.from({ length: style.lines }, (_, i): uPlot.Series => ({
    stroke: colour(i),
    width: style.stacked ? 1 : 1.5,
    ...(style.stacked ? { fill: faded(colour(i), 0.45) } : style.lines === 1 ? { fill: faded(colour(i), 0.1) } : {}),
    spanGaps: false,
    // Live points stand closer than pixels; rounded to them, they would draw a staircase.
    pxAlign: 0,
    points: { show: true, size: 4, fill: colour(i), filter: (u, at) => lonely(u.data[at]!) },
  }));
  const axis = { stroke: palette.axis, font: palette.font, ticks: { show: false } };
  return {
    ...size,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { setScale: false, x: false, y: false },
      sync: { key: "daywatch", setSeries: false },
      points: { size: 7, width: 1.5 },
    },
    scales: {
      x: { time: true, range: () => window() },
      y: { range: (_, min, max) => valueRange(min, max, style.atLeast) },
    },
    series: [{}, ...lines],
    bands: style.stacked
      ? Array.from({ length: Math.max(0, style.lines - 1) }, (_, i) => ({ series: [i + 2, i + 1] as [number, number] }))
      : [],
    axes: [
      { ...axis, size: 26, gap: 4, space: 64, grid: { show: false }, values: (_, splits) => splits.map(clock) },
      {
        ...axis,
        gap: 4,
        space: 26,
        size: (_, values) => Math.max(34, Math.max(0, ...(values ?? []).map((text) => text.length)) * 6.6 + 12),
        grid: { stroke: palette.grid, width: 1 },
        values: (_, splits) => splits.map((value) => formatValue(value, style.unit)),
        ...(style.unit.startsWith("bytes") ? { splits: binarySplits } : {}),
      },
    ],
    hooks: {
      setCursor: [
        (u) => {
          const at = u.cursor.idx;
          const seconds = at === null || at === undefined ? undefined : u.data[0][at];
          onCursor((u.cursor.left ?? -1) >= 0 && seconds !== undefined ? seconds : null);
        },
      ],
    },
  };
}

/** About four round steps in powers of two, so that a byte axis says `2 GiB`, not `1.86 GiB`. */
export function binarySplits(_: unknown, __: number, min: number, max: number): number[] {
  const raw = (max - min) / 4;
  const step = 2 ** Math.round(Math.log2(Math.max(raw, 1 / 1024)));
  const splits: number[] = [];
  for (let at = Math.ceil(min / step) * step; at <= max; at += step) splits.push(at);
  return splits;
}

function clock(seconds: number): string {
  const at = new Date(seconds * 1000);
  const two = (n: number): string => String(n).padStart(2, "0");
  const minutes = `${two(at.getHours())}:${two(at.getMinutes())}`;
  return at.getSeconds() === 0 ? minutes : `${minutes}:${two(at.getSeconds())}`;
}
