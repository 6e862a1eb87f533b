/** What to do while there is no source yet. */
import { Command } from "../components/Command";
import { Icon } from "../components/Icon";

export function FirstRun() {
  const url = new URL(".", document.baseURI).href.replace(/\/$/, "");
  const config = `url = "${url}"\nkey_file = "agent.key"\ndata_dir = "/var/lib/daywatch"`;
  return (
    <section class="card padded stack" aria-labelledby="first-run">
      <div>
        <h2 id="first-run">No source yet. Connect the first host</h2>
        <p class="soft">Three steps on the host; it appears here by itself a few seconds later.</p>
      </div>
      <ol class="steps">
        <li>
          <h3>Make a key for the agent</h3>
          <Command text="daywatch keys create --kind agent > agent.key" />
        </li>
        <li>
          <h3>
            Write <code>agent.toml</code>
          </h3>
          <Command text={config} />
        </li>
        <li>
          <h3>Start the agent</h3>
          <Command text="daywatch-agent --config agent.toml" />
        </li>
      </ol>
      <p class="row soft small">
        <Icon name="info" size={15} />
        <span class="grow">
          Something sends Graphite lines already? <code>POST {url}/graphite</code> takes them, with an agent key.
        </span>
      </p>
    </section>
  );
}
