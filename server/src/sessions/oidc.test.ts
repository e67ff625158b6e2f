/** Against a real OpenID provider (oidc-provider from npm) on loopback, with a browser made of fetch and a jar of cookies. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { call, startWorld, type World } from "../testing.ts";
import { freePort, type Person, startProvider } from "./testing/provider.ts";

const SECRET = "a-secret-of-the-client-that-is-long-enough";
const people: Record<string, Person> = {
  ann: { email: "ann@acme.example", email_verified: true },
  mallory: { email: "boss@acme.example", email_verified: false },
  zoe: { email: "zoe@elsewhere.example", email_verified: true },
  boss: { email: "boss@acme.example", email_verified: true },
  impostor: { email: "boss@acme.example", email_verified: true },
};

let provider: Awaited<ReturnType<typeof startProvider>>;
let world: World;

beforeAll(async () => {
  const port = await freePort();
  const client = { id: "mags", secret: SECRET, url: `http://127.0.0.1:${port}` };
  provider = await startProvider(`http://127.0.0.1:${await freePort()}`, client, people);
  const { issuer } = provider;
  const domains = [{ domain: "acme.example", organisation: "acme" }];
  const oidc = { issuer, clientId: "mags", clientSecret: SECRET, label: "Acme", domains, role: "member" as const };
  world = await startWorld({
    listen: { host: "127.0.0.1", port },
    access: { publicUrl: `http://127.0.0.1:${port}`, oidc },
  });
  await call(world, "POST", "/api/v1/organisations", { id: "acme" });
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  provider.close();
});

/** Keeps cookies by server, and goes where it is sent, as far as `until` says. */
class Browser {
  readonly #jar = new Map<string, Map<string, string>>();

  async go(url: string, init: RequestInit = {}): Promise<Response> {
    const { host } = new URL(url);
    const jar = this.#jar.get(host) ?? new Map<string, string>();
    this.#jar.set(host, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(url, { ...init, redirect: "manual", headers: { ...init.headers, cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "" || /Max-Age=0|1970/.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  }

  /** Follows redirects until a page comes, or one leads to where `until` says. */
  async follow(
    url: string,
    until: (url: string) => boolean = () => false,
  ): Promise<{ url: string; response: Response }> {
    for (let hops = 0; hops < 20; hops++) {
      if (until(url)) return { url, response: new Response() };
      const response = await this.go(url);
      const location = response.headers.get("location");
      if (!location) return { url, response };
      url = new URL(location, url).href;
    }
    throw new Error("redirected for ever");
  }

  /** Logs in at the provider's own pages, and consents; answers where Mags is called back. */
  async throughProvider(account: string): Promise<string> {
    const isCallback = (url: string) => url.includes("/oidc/callback");
    let at = await this.follow(`${world.server.url}/api/v1/session/oidc`, isCallback);
    for (let form = 0; !isCallback(at.url) && form < 3; form++) {
      const page = await at.response.text();
      const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1] ?? "";
      const action = /action="([^"]+)"/.exec(page)?.[1] ?? at.url;
      const body = new URLSearchParams({ prompt, login: account, password: "any" });
      const answer = await this.go(new URL(action, at.url).href, { method: "POST", body });
      at = await this.follow(new URL(answer.headers.get("location") ?? "", at.url).href, isCallback);
    }
    return at.url;
  }

  async signIn(account: string): Promise<string> {
    return (await this.go(await this.throughProvider(account))).headers.get("location") ?? "";
  }

  async whoami() {
    return (await (await this.go(`${world.server.url}/api/v1/whoami`)).json()) as Record<string, unknown>;
  }
}

describe("sign-in by OpenID Connect", () => {
  it("is offered where a provider is set up", async () => {
    const { body } = await call(world, "GET", "/api/v1/session/options");
    expect(body).toEqual({ password: true, oidc: { label: "Acme", start_url: "/api/v1/session/oidc" } });
    await using without = await startWorld();
    expect((await call(without, "GET", "/api/v1/session/oidc")).status).toBe(404);
  });

  it("makes whoever comes for the first time a member of the domain's organisation, and finds them again", async () => {
    const browser = new Browser();
    expect(await browser.signIn("ann")).toBe("/");
    const first = await browser.whoami();
    expect(first).toMatchObject({ organisation: "acme", member: { email: "ann@acme.example", role: "member" } });
    const other = new Browser();
    await other.signIn("ann");
    expect(await other.whoami()).toEqual(first);
  });

  it("refuses other domains, addresses that are not verified, and a second identity with the same address", async () => {
    expect(decodeURIComponent(await new Browser().signIn("zoe"))).toContain("nobody of elsewhere.example");
    expect(decodeURIComponent(await new Browser().signIn("mallory"))).toContain("has not verified");
    expect(await new Browser().signIn("boss")).toBe("/");
    expect(decodeURIComponent(await new Browser().signIn("impostor"))).toContain("another identity");
  });

  it("lets nobody in who is disabled here", async () => {
    const { rows } = await world.sql.query(
      "UPDATE members SET disabled = true WHERE email = 'ann@acme.example' RETURNING id",
    );
    expect(rows.length).toBe(1);
    expect(decodeURIComponent(await new Browser().signIn("ann"))).toContain("is disabled");
  });

  it("takes an answer from the browser that asked alone, and once", async () => {
    const browser = new Browser();
    const callback = await browser.throughProvider("boss");
    const stranger = await new Browser().go(callback);
    expect(decodeURIComponent(stranger.headers.get("location") ?? "")).toContain("another browser");
    const forged = new URL(callback);
    forged.searchParams.set("state", "forged");
    const again = new Browser();
    await again.go(`${world.server.url}/api/v1/session/oidc`);
    expect((await again.go(forged.href)).headers.get("location")).toMatch(/^\/sign-in\?error=/);
    expect((await browser.go(callback)).headers.get("location")).toBe("/");
    expect((await browser.go(callback)).headers.get("location")).toMatch(/^\/sign-in\?error=/);
  });

  it("says so when the provider is away", async () => {
    const domains = [{ domain: "*", organisation: "default" }];
    const oidc = {
      issuer: "http://127.0.0.1:9",
      clientId: "c",
      clientSecret: "s",
      label: "x",
      domains,
      role: "member" as const,
    };
    await using away = await startWorld({ access: { publicUrl: "http://127.0.0.1:1", oidc } });
    expect((await call(away, "GET", "/api/v1/session/oidc")).status).toBe(503);
  });
});
