import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import Provider from "oidc-provider";

/** Somebody whom the provider knows, under the name that they log in with. */
export interface Person {
  email: string;
  email_verified: boolean;
}

interface Client {
  id: string;
  secret: string;
  /** public address of the server that people sign in to */
  url: string;
}

/** A real OpenID provider on loopback, at the port of its issuer; any password is right. */
export async function startProvider(
  issuer: string,
  { id, secret, url }: Client,
  people: Record<string, Person>,
): Promise<{ issuer: string; close: () => void }> {
  const oidc = new Provider(issuer, {
    clients: [{ client_id: id, client_secret: secret, redirect_uris: [`${url}/api/v1/session/oidc/callback`] }],
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
    findAccount: (_, name) => ({
      accountId: name,
      claims: async () => ({ sub: name, name, ...(people[name] as Person) }),
    }),
    cookies: { keys: ["k"] },
  });
  const server = createServer(oidc.callback()).listen(Number(new URL(issuer).port), "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { issuer, close };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
