/** `npm run mock [PORT]`: the mock server by hand. */
import { start } from "./server.mjs";

const mock = await start({ port: Number(process.argv[2] ?? 9797) });
console.log(`page:    ${mock.url}#key=${mock.key}`);
console.log(`control: curl -d '{"pager":true,"tripped":true,"empty":false,"down":false}' ${new URL("/mock/set", mock.url)}`);
