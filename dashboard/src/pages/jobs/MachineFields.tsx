import { allows, DEFAULT_IMAGE, jobLimits, recipes } from "@mags/protocol";
import { useId, useState } from "react";
import { useNodes, useWhoami } from "../../api/operate.ts";
import { Field, Input } from "../../ui/Field.tsx";

/** How large the machine is, what it is made from and by, and what it may reach. */
export function MachineFields() {
  return (
    <>
      <div className="columns">
        <Size name="vcpus" label="CPUs" least={0.1} usual={jobLimits.vcpusDefault} />
        <Size name="memory" label="Memory, MiB" least={jobLimits.memoryMbMin} usual={jobLimits.memoryMbDefault} />
        <Size name="disk" label="Disk, GiB" least={0.1} usual={jobLimits.diskGbDefault} />
        <Size name="timeout" label="Time limit, seconds" least={1} usual={jobLimits.timeoutDefault} />
      </div>
      <div className="columns">
        <Image />
        <Field label="Runtime">
          {(id) => (
            <select id={id} name="runtime" defaultValue="">
              <option value="">The server's</option>
              <option value="container">Container</option>
              <option value="qemu">Virtual machine</option>
            </select>
          )}
        </Field>
        <Network />
      </div>
    </>
  );
}

function Size({ name, label, least, usual }: { name: string; label: string; least: number; usual: number }) {
  const step = Number.isInteger(least) ? 1 : 0.1;
  return <Input label={label} name={name} type="number" min={least} step={step} placeholder={String(usual)} />;
}

/** A recipe or an image of a registry; who runs the installation sees what its nodes have. */
function Image() {
  const list = useId();
  const nodes = useNodes(allows(useWhoami().data?.scopes ?? [], "operator")).data?.nodes ?? [];
  // What ends in a slash is the beginning of names.
  const named = nodes.flatMap(({ rootfs_types }) => rootfs_types.filter((name) => !name.endsWith("/")));
  const known = new Set([...recipes, ...named]);
  return (
    <>
      <Input
        label="Image"
        hint="Or docker://alpine:3.23"
        name="image"
        maxLength={400}
        placeholder={DEFAULT_IMAGE}
        list={list}
        spellCheck={false}
      />
      <datalist id={list}>
        {[...known].map((name) => (
          <option key={name} value={name} />
        ))}
      </datalist>
    </>
  );
}

function Network() {
  const [chosen, setChosen] = useState("");
  return (
    <>
      <Field label="Network">
        {(id) => (
          <select id={id} name="network" value={chosen} onChange={(event) => setChosen(event.target.value)}>
            <option value="">The internet</option>
            <option value="list">Only these hosts</option>
            <option value="none">Nothing</option>
          </select>
        )}
      </Field>
      {chosen === "list" && (
        <Input label="Hosts" name="hosts" required placeholder="*.example.com:443, 192.0.2.0/24" spellCheck={false} />
      )}
    </>
  );
}
