namespace Cnvm.Vmm;

/// <summary>A device of the booted machine, as <c>vm.info</c> shows it.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Resources">What it occupies now.</param>
/// <param name="Children">Ids of devices behind it.</param>
/// <param name="Parent">Id of the device that it is behind; null at the top.</param>
/// <param name="PciBdf">Its place on the PCI bus, as segment:bus:device.function; null without PCI.</param>
public sealed record DeviceNode(
    string Id, IReadOnlyList<DeviceResource> Resources, IReadOnlyList<string> Children, string? Parent = null, string? PciBdf = null);
