import { type CreateJob, type ErrorCode, levelOf, offersImage } from "@mags/protocol";

export interface Capability {
  vcpus: number;
  memory_mb: number;
  isolation: string[];
  rootfs_types: string[];
  image_digests: string[];
  labels: Record<string, string>;
}

export interface Refusal {
  code: ErrorCode;
  field: string;
  message: string;
}

/**
 * Says why no node could ever run the job, or undefined. While no node is known only what can be judged without one
 * is refused: the first agent may register a moment later, and the job waits for it.
 */
export function refuse(job: CreateJob, nodes: Capability[]): Refusal | undefined {
  const level = levelOf(job);
  if (level === "vm" && !nodes.some((n) => n.isolation.includes("vm"))) {
    const [field, value] = vmWish(job);
    return {
      code: "isolation_unavailable",
      field,
      message: `${field} "${value}" is offered by no node of this installation`,
    };
  }
  if (nodes.length === 0) return undefined;
  const images = [...new Set(nodes.flatMap((n) => n.rootfs_types))].sort();
  if (job.rootfs_type !== undefined && !offersImage(images, job.rootfs_type)) {
    return {
      code: "invalid_request",
      field: "rootfs_type",
      message: `rootfs_type ${JSON.stringify(job.rootfs_type)} cannot be had; known: ${images.join(", ") || "(none)"}`,
    };
  }
  const { image_digest } = job;
  if (image_digest !== undefined && !nodes.some((node) => node.image_digests.includes(image_digest))) {
    return {
      code: "image_unavailable",
      field: "image_digest",
      message: `no node has the image ${image_digest}; there are: ${[...new Set(nodes.flatMap((n) => n.image_digests))].join(", ")}`,
    };
  }
  if (!nodes.some((node) => hasLabels(job, node))) {
    const wanted = Object.entries(job.node_labels ?? {}).map((label) => label.join("="));
    return { code: "invalid_request", field: "node_labels", message: `node_labels: no node has ${wanted.join(", ")}` };
  }
  const fitting = nodes.filter((n) => suits(job, n));
  if (fitting.some((n) => job.vcpus <= n.vcpus && job.memory_mb <= n.memory_mb)) return undefined;
  const most =
    fitting.map((n) => `${n.vcpus} vcpus with ${n.memory_mb} MB`).join(", ") ||
    "none that fits isolation and rootfs_type";
  const field = fitting.some((n) => job.vcpus <= n.vcpus) ? "memory_mb" : "vcpus";
  return {
    code: "too_big_for_nodes",
    field,
    message: `no node can give ${job.vcpus} vcpus and ${job.memory_mb} MB (${field} is too large); nodes: ${most}`,
  };
}

function suits(job: CreateJob, node: Capability): boolean {
  return (
    (levelOf(job) !== "vm" || node.isolation.includes("vm")) &&
    (job.rootfs_type === undefined || offersImage(node.rootfs_types, job.rootfs_type)) &&
    (job.image_digest === undefined || node.image_digests.includes(job.image_digest)) &&
    hasLabels(job, node)
  );
}

const hasLabels = ({ node_labels = {} }: CreateJob, { labels }: Capability) =>
  Object.entries(node_labels).every(([name, value]) => labels[name] === value);

/** Which of its fields asks for a virtual machine. */
function vmWish({ isolation, runtime }: CreateJob): [field: string, value: string] {
  if (isolation === "vm") return ["isolation", "vm"];
  return runtime === "qemu" ? ["runtime", "qemu"] : ["sleep", "suspend"];
}
