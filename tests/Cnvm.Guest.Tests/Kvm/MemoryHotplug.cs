namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class MemoryHotplug(NestedHostFixture fixture) : MemoryHotplugTests(fixture);
