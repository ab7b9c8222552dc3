// Creates a container at an Azurite, with its well-known account. usage: node azure-container.js ENDPOINT CONTAINER
// ENDPOINT is http://HOST:PORT/devstoreaccount1. Clients of Weir's never create containers, so nothing else here can.
const crypto = require("node:crypto");

const account = "devstoreaccount1";
const key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const [endpoint, container] = process.argv.slice(2);
const version = "2021-12-02";

async function main() {
  const url = new URL(`${endpoint}/${container}?restype=container`);
  const date = new Date().toUTCString();
  const headers = `x-ms-date:${date}\nx-ms-version:${version}\n`;
  const resource = `/${account}${url.pathname}\nrestype:container`;
  const text = `PUT${"\n".repeat(12)}${headers}${resource}`;
  const signature = crypto.createHmac("sha256", Buffer.from(key, "base64")).update(text).digest("base64");
  const authorization = `SharedKey ${account}:${signature}`;
  const answer = await fetch(url, {
    method: "PUT",
    headers: { "x-ms-date": date, "x-ms-version": version, authorization },
  });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
}

main().catch((error) => { console.error(String(error)); process.exit(1); });
