/** Every metric of every source, for series that belong to no agent and for comparing hosts. */
import { RangePicker } from "../components/RangePicker";
import { spanOf } from "../data/input";
import { changeParams, type Route } from "../page/route";
import { MetricGraphs } from "./MetricGraphs";

const ALL: string[] = [];

export function MetricsView({ route }: { route: Route }) {
  const range = route.params.range ?? "15m";
  return (
    <>
      <div class="page-head">
        <h1>Metrics</h1>
        <span class="end wide">
          <RangePicker value={range} onChange={(id) => location.assign(changeParams(route, { range: id }))} />
        </span>
      </div>
      <MetricGraphs route={route} title="All series" matchers={ALL} span={spanOf(range)} atMs={null} />
    </>
  );
}
