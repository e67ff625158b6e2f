export { ReflinkStore, StoreFull, type StoreSpace } from "./store.ts";
export { Templates, type VolumeKind } from "./templates.ts";
export { distrust } from "./trust.ts";
