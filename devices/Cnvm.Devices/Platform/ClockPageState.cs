namespace Cnvm.Devices.Platform;

/// <summary>A VMClock page; what else stands in it never changes.</summary>
/// <param name="Address">Guest-physical address that the guest was told.</param>
/// <param name="Sequence">The page's seq_count; even.</param>
/// <param name="Disruptions">Its disruption_marker.</param>
/// <param name="Generations">Its vm_generation_counter.</param>
public sealed record ClockPageState(ulong Address, uint Sequence, ulong Disruptions, ulong Generations);
