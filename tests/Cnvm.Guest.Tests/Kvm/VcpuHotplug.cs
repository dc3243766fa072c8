namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class VcpuHotplug(NestedHostFixture fixture) : VcpuHotplugTests(fixture);
