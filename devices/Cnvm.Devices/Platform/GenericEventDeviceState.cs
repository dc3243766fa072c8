namespace Cnvm.Devices.Platform;

/// <summary>Events that the guest has not read yet.</summary>
public sealed record GenericEventDeviceState(GedEvents Pending);
