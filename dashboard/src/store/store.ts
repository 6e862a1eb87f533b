/** Holds the state, runs events through the reducer, and lets components follow a part of it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { initialState, type State } from "./state";
import { reduce, type Event } from "./reduce";

export class Store {
  private current: State = initialState;
  private readonly followers = new Set<() => void>();

  get state(): State {
    return this.current;
  }

  send(event: Event): void {
    this.current = reduce(this.current, event);
    for (const follower of this.followers) follower();
  }

  follow(follower: () => void): () => void {
    this.followers.add(follower);
    return () => this.followers.delete(follower);
  }
}

/** A part of the state; the component is drawn again only when that part changed. */
export function useStore<T>(store: Store, part: (state: State) => T): T {
  const [value, setValue] = useState(() => part(store.state));
  const partNow = useRef(part);
  partNow.current = part;
  useEffect(() => {
    const update = (): void => {
      const next = partNow.current(store.state);
      setValue(() => next);
    };
    update();
    return store.follow(update);
  }, [store]);
  return value;
}
