namespace Cnvm.Vmm.Requests;

/// <summary>Where a device stands that was added to a booted VM: the answer to <c>vm.add-*</c>.</summary>
/// <param name="Bdf">Segment, bus, slot and function, as <c>0000:00:06.0</c>.</param>
public sealed record PciDeviceInfo(string Id, string Bdf);
