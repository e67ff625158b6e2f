/** Stands for "someone out there" in a test: HTTP on every port of argv, answering who asks; prints the UDP it gets on port 53. */
import { createSocket } from "node:dgram";
import { createServer } from "node:http";

for (const port of process.argv.slice(2)) {
  createServer((request, response) => response.end(request.socket.remoteAddress)).listen(Number(port), "0.0.0.0");
}
// Bound to each address by name: an answer must come from the address that was asked.
for (const address of (process.env.DNS_ADDRESSES ?? "").split(",").filter(Boolean)) {
  const socket = createSocket("udp4");
  socket.on("message", (message, from) => {
    console.log(`${message} from ${from.address}`);
    socket.send(`answer to ${message}`, from.port, from.address);
  });
  socket.bind(53, address);
}
setTimeout(() => console.log("ready"), 200);
