// receiver.mjs SECRET: a receiver of webhooks that verifies them with the
// standard's own library. It says its port on a line, answers 204 to what is
// signed with the secret and 401 to all else, and ends with its standard input.
import { createServer } from "node:http";
import { Webhook } from "standardwebhooks";

const webhook = new Webhook(process.argv[2]);

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    webhook.verify(Buffer.concat(chunks).toString(), request.headers);
    response.writeHead(204).end();
  } catch (error) {
    response.writeHead(401).end(`${error.name}: ${error.message}`);
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit(0));
