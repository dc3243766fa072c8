namespace Cnvm.Vmm;

/// <summary>An event with its number and its time.</summary>
/// <param name="Number">1 for the VMM's first event.</param>
/// <param name="SinceStart">Since the process started.</param>
public sealed record RecordedEvent(ulong Number, TimeSpan SinceStart, VmmEvent Event);
