// Package budget shares what all fills of a process compete for: memory for segments, each upstream's download slots, and
// places for fills.
//
// A fill has an Account, and each of its transfers a Hold. The package knows neither blobs nor stores: it calls back to
// evict a segment from memory, or to park a fill that nobody reads.
//
// # No deadlock
//
// No fill waits forever for another, because nobody waits for one resource while others wait for what it holds:
//
//  1. A request to an upstream is sent only when its hold has both the slot and the memory for its segment. Both are
//     granted together or not at all, and a hold that waits for them has neither.
//
//  2. A transfer that broke inside a segment keeps the segment's memory and waits for a slot. It goes before all others
//     that wait for one.
//
//  3. A stream of a whole blob, from an upstream that ignores Range, waits for the next segment's memory while it has a
//     slot and no unfinished segment. It gives the slot up if a transfer waits as in 2, or after maxHold if anybody waits
//     for a slot. It begins again as in 1, so each attempt lands at least one segment.
//
//  4. A complete segment waits only for the store. Once it is stored, others can have its memory.
//
//  5. A reader that refetches bytes it has missed has a slot and no memory. It gives the slot up if its client does not
//     read, and after a while if anybody waits for a slot.
//
// So a slot is either in the hands of a transfer that needs nothing else (1, 2), or is given up when a holder of memory
// needs it (3). Transfers end, since stalled ones are cut. Holders of memory therefore get their slot, complete their
// segments, and their memory returns (4) to those who wait in 1 and 3. The other waits are in no cycle: a fill takes its
// place before anything else, and the room for its list of segments while it has no memory and no slot.
//
// # Fairness
//
// An upstream whose segments do not arrive may hold at most three quarters of what the others leave (see Budget.admits),
// so that there is memory for another upstream. Segments above the usual size, of huge blobs, hold at most half of the
// memory. While one of them waits, the usual ones hold at most the other half. Within each size, memory is granted in
// order.
package budget
