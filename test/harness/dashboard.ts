import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { accessibilityFaults, keepScreenshot, startBrowser, visit, watchFaults } from "./browser.ts";
import { Daemon } from "./daemon.ts";

/** A signed-out page of the dashboard of a whole Mags, anew for each test. A test in which the page's own code fails has failed. */
export class Dashboard {
  daemon!: Daemon;
  page!: Page;
  context!: BrowserContext;
  #browser!: Browser;
  #faults: string[] = [];
  readonly #strangers: BrowserContext[] = [];

  /** One server and one browser for all tests of a file. */
  static forThisFile(env: Record<string, string> = {}): Dashboard {
    const dashboard = new Dashboard();
    beforeAll(async () => {
      [dashboard.daemon, dashboard.#browser] = await Promise.all([Daemon.start(env), startBrowser()]);
    });
    afterAll(async () => {
      await dashboard.#browser?.close();
      await dashboard.daemon?.remove();
    });
    beforeEach(() => dashboard.#open());
    afterEach(async () => {
      for (const context of [dashboard.context, ...dashboard.#strangers.splice(0)]) await context.close();
      expect(dashboard.#faults).toEqual([]);
    });
    return dashboard;
  }

  async #open(): Promise<void> {
    const size = { width: 1280, height: 800 };
    this.context = await this.#browser.newContext({ colorScheme: "light", viewport: size, acceptDownloads: true });
    this.page = await this.context.newPage();
    this.page.setDefaultTimeout(30_000);
    this.#faults = watchFaults(this.page);
  }

  /** A page of somebody else, who is not signed in; it goes with the test. */
  async stranger(): Promise<Page> {
    const context = await this.#browser.newContext();
    this.#strangers.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    return page;
  }

  async visit(path: string): Promise<void> {
    await visit(this.page, new URL(path, this.daemon.url).href);
  }

  async signIn(): Promise<void> {
    await this.visit("/");
    await this.page.getByLabel("Token").fill(await this.daemon.token());
    await this.page.getByRole("button", { name: "Sign in" }).click();
    await this.page.getByRole("heading", { name: "Jobs" }).waitFor();
  }

  /** By the menu, as people do. */
  async go(place: string): Promise<void> {
    await this.page.getByRole("navigation", { name: "Main" }).getByRole("link", { name: place }).click();
    await this.page.getByRole("heading", { level: 1, name: place }).waitFor();
  }

  button(name: string, exact = false) {
    return this.page.getByRole("button", { name, exact });
  }

  /** Keeps a picture, and finds nothing serious against accessibility, in light and in the dark. */
  async look(name: string): Promise<void> {
    await keepScreenshot(this.page, name);
    expect(await accessibilityFaults(this.page)).toEqual([]);
    await this.page.emulateMedia({ colorScheme: "dark" });
    expect(await accessibilityFaults(this.page)).toEqual([]);
    await keepScreenshot(this.page, join("dark", name));
    await this.page.emulateMedia({ colorScheme: "light" });
  }
}
