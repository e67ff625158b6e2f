import { ApiError, type MemberRole } from "@mags/protocol";
import * as client from "openid-client";

/** An OpenID provider that people may sign in with, and who of them. */
export interface OidcOptions {
  issuer: string;
  clientId: string;
  clientSecret: string;
  /** what its button says */
  label: string;
  /** parts of e-mail addresses behind the @, and the organisation that they lead to; "*" is any */
  domains: { domain: string; organisation: string }[];
  /** of somebody who signs in for the first time */
  role: MemberRole;
}

/** Who somebody is, after the provider. */
export interface Person {
  org: string;
  email: string;
  name: string;
  role: MemberRole;
  /** `<issuer> <subject>` */
  identity: string;
}

/** What has to come back with the answer; the browser keeps it in a cookie meanwhile. */
interface Flow {
  state: string;
  nonce: string;
  verifier: string;
}

/** Signing in by OpenID Connect: authorization code with PKCE, state and nonce. The provider is asked for its settings when first used. */
export class Oidc {
  readonly options: OidcOptions;
  readonly #redirectUri: string;
  #discovered: Promise<client.Configuration> | undefined;

  constructor(options: OidcOptions, publicUrl: string) {
    this.options = options;
    this.#redirectUri = `${publicUrl}/api/v1/session/oidc/callback`;
  }

  /** Where to send the browser, and what its cookie holds. Throws ApiError unavailable. */
  async start(): Promise<{ location: string; flow: string }> {
    const config = await this.#config();
    const flow: Flow = {
      state: client.randomState(),
      nonce: client.randomNonce(),
      verifier: client.randomPKCECodeVerifier(),
    };
    const location = client.buildAuthorizationUrl(config, {
      redirect_uri: this.#redirectUri,
      scope: "openid email profile",
      state: flow.state,
      nonce: flow.nonce,
      code_challenge: await client.calculatePKCECodeChallenge(flow.verifier),
      code_challenge_method: "S256",
    });
    return { location: location.href, flow: Object.values(flow).join(".") };
  }

  /** Who has come back. `query` is what the provider sent. Throws ApiError unauthorized, forbidden, unavailable. */
  async finish(query: string, cookie: string | undefined): Promise<Person> {
    const [state, nonce, verifier] = cookie?.split(".") ?? [];
    if (!state || !nonce || !verifier)
      throw new ApiError("unauthorized", "this sign-in was begun in another browser, or too long ago");
    const config = await this.#config();
    const url = new URL(`${this.#redirectUri}?${query}`);
    const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier };
    const tokens = await client.authorizationCodeGrant(config, url, checks).catch((cause: Error) => {
      throw new ApiError("unauthorized", `the provider's answer was refused: ${cause.message}`);
    });
    const claims = tokens.claims();
    if (!claims) throw new ApiError("unauthorized", "the provider said nothing about who signs in");
    const { iss, sub } = claims;
    // Some providers keep the e-mail out of the ID token.
    const said =
      claims.email === undefined
        ? await client.fetchUserInfo(config, tokens.access_token, sub).catch(() => claims)
        : claims;
    return this.#admit(`${iss} ${sub}`, said);
  }

  #admit(identity: string, { email, email_verified, name }: Record<string, unknown>): Person {
    if (typeof email !== "string") throw new ApiError("forbidden", "the provider gives no e-mail address");
    // Else whoever can write an address into an account of the provider would be its owner here.
    if (email_verified !== true) throw new ApiError("forbidden", `the provider has not verified ${email}`);
    const address = email.toLowerCase();
    const domain = address.slice(address.lastIndexOf("@") + 1);
    const { domains, role } = this.options;
    const found = domains.find((entry) => entry.domain === domain) ?? domains.find((entry) => entry.domain === "*");
    if (!found) throw new ApiError("forbidden", `nobody of ${domain} may sign in here`);
    return { org: found.organisation, email: address, name: typeof name === "string" ? name : "", role, identity };
  }

  /** A provider that was away is asked again at the next sign-in. */
  async #config(): Promise<client.Configuration> {
    const { issuer, clientId, clientSecret } = this.options;
    const url = new URL(issuer);
    const execute = url.protocol === "http:" ? [client.allowInsecureRequests] : [];
    this.#discovered ??= client.discovery(url, clientId, undefined, client.ClientSecretBasic(clientSecret), {
      execute,
    });
    try {
      return await this.#discovered;
    } catch (cause) {
      this.#discovered = undefined;
      throw new ApiError("unavailable", `the OpenID provider ${issuer} does not answer: ${(cause as Error).message}`);
    }
  }
}
