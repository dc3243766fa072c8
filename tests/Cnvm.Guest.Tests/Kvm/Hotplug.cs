namespace Cnvm.Guest.Tests.Kvm;

[Collection(KvmGuests.Name)]
public sealed class Hotplug(NestedHostFixture fixture) : HotplugTests(fixture);
