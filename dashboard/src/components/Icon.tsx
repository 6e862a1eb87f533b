/** Small drawings. They repeat what the text next to them says, so readers skip them. */

const PATHS = {
  ok: "M3.5 8.5l3 3 6-7",
  warning: "M8 2.5L14.5 13.5H1.5ZM8 6.5v3.2M8 11.6v.1",
  critical: "M5.2 1.8h5.6l3.4 3.4v5.6l-3.4 3.4H5.2l-3.4-3.4V5.2ZM8 4.8v4M8 11v.1",
  unknown: "M5.8 6.2a2.3 2.3 0 1 1 3.2 2.1c-.7.3-1 .8-1 1.6M8 12.2v.1",
  pending: "M8 4.5V8l2.5 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z",
  info: "M8 7.2v4M8 4.8v.1M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0Z",
  bell: "M8 2a4 4 0 0 0-4 4c0 3.5-1.5 4.5-1.5 5.5h11C13.500 10.500 12 9.500 12 6a4 4 0 0 0-4-4ZM6.500 13.700a1.700 1.700 0 0 0 3 0",
  silent: "M4.200 5C4 5.500 4 6 4 6c0 3.500-1.500 4.500-1.500 5.500H11M6 2.600A4 4 0 0 1 12 6c0 1.800.400 3 .800 3.900M6.500 13.700a1.700 1.700 0 0 0 3 0M2 2l12 12",
  home: "M2.500 7.500L8 2.800l5.500 4.700M4 6.500v6.700h8V6.500",
  list: "M2.500 4.200l1 1 1.700-2M2.500 8.700l1 1 1.700-2M2.500 12.700h2M7.500 4.200h6M7.500 8.700h6M7.500 12.700h6",
  graph: "M2 13.500h12M2.500 10.500l3-4 2.500 2.500 5-6",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6ZM8 1.200v1.300M8 13.500v1.300M1.200 8h1.300M13.500 8h1.300M3.200 3.200l.9.9M11.900 11.900l.9.9M3.200 12.800l.9-.9M11.900 4.100l.9-.9",
  moon: "M13.200 9.700A5.700 5.700 0 0 1 6.300 2.800a5.700 5.700 0 1 0 6.900 6.900Z",
  system: "M2 3h12v8H2ZM5.500 13.500h5M8 11v2.500",
  out: "M6 2.500H3v11h3M10.500 5L13.500 8l-3 3M13 8H6.500",
  close: "M4 4l8 8M12 4l-8 8",
  pulse: "M1.500 9h3L6.500 4l3 8.500L11.200 9h3.300",
  copy: "M5.500 5.500h8v8h-8ZM3 10.500H2.500v-8h8V3",
  back: "M9.500 3.500L5 8l4.500 4.500",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
