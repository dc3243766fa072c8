namespace Cnvm.Devices.Platform;

/// <summary>A generation identifier; its 16 bytes are in guest memory and are others after a restore.</summary>
/// <param name="Address">Guest-physical address that the guest was told.</param>
public sealed record GenerationIdState(ulong Address);
