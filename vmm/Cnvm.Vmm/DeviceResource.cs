using System.Text.Json.Serialization;

namespace Cnvm.Vmm;

/// <summary>Something that a device occupies, in the form of Cloud Hypervisor's resources: the one key says what it is.</summary>
/// <param name="MmioAddressRange">Guest physical addresses.</param>
public sealed record DeviceResource([property: JsonPropertyName("MmioAddressRange")] DeviceRange MmioAddressRange);
