/** Tar files as an attacker writes them: header by header, with no tool's judgement in between. */

interface Entry {
  name: string;
  type?: "file" | "link" | "symlink" | "char" | "block" | "directory" | "fifo";
  content?: string | Buffer;
  /** of a link */
  target?: string;
  mode?: number;
  uid?: number;
  /** of a device: major and minor */
  device?: [number, number];
}

const TYPES = { file: "0", link: "1", symlink: "2", char: "3", block: "4", directory: "5", fifo: "6" };
const BLOCK = 512;

export function tar(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.flatMap(blocks), Buffer.alloc(2 * BLOCK)]);
}

function blocks({ name, type = "file", content = "", target = "", mode = 0o644, uid = 0, device }: Entry): Buffer[] {
  const bytes = Buffer.from(content);
  const header = Buffer.alloc(BLOCK);
  const put = (offset: number, text: string) => header.write(text, offset, "latin1");
  const octal = (offset: number, length: number, value: number) =>
    put(offset, `${value.toString(8).padStart(length - 1, "0")}\0`);
  put(0, name);
  octal(100, 8, mode);
  octal(108, 8, uid);
  octal(116, 8, uid);
  octal(124, 12, type === "file" ? bytes.length : 0);
  octal(136, 12, 0);
  put(156, TYPES[type]);
  put(157, target);
  put(257, "ustar\x0000");
  if (device) {
    octal(329, 8, device[0]);
    octal(337, 8, device[1]);
  }
  header.fill(" ", 148, 156);
  octal(
    148,
    7,
    header.reduce((sum, byte) => sum + byte, 0),
  );
  const padding = Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK);
  return type === "file" ? [header, bytes, padding] : [header];
}
