/** Asks by UDP: argv is message, address, port and perhaps source address; prints the answer, or "silence". */
import { createSocket } from "node:dgram";

const [message = "", address, port, source] = process.argv.slice(2);
const socket = createSocket("udp4");
const end = (text: string) => {
  console.log(text);
  socket.close();
};
const timer = setTimeout(() => end("silence"), 1500);
socket.on("message", (answer) => {
  clearTimeout(timer);
  end(String(answer));
});
socket.bind(0, source, () => socket.send(message, Number(port), address));
