namespace Cnvm.Vmm.Tests;

public sealed class DeviceEventsTests
{
    [Fact]
    public void Events_have_the_contracts_names_and_a_guest_cannot_make_any_number_of_them()
    {
        List<VmmEvent> events = [];
        var device = new DeviceEvents(events.Add);
        device.Add("_disk0", active: true);
        device.Add("_disk0", active: false);
        Assert.Equal(["virtio-device.activated", "virtio-device.reset"], events.Select(e => $"{e.Source}.{e.Name}"));
        Assert.Equal("_disk0", events[0].Properties!["id"]);
        for (int i = 0; i < 100_000; i++)
        {
            device.Add("_disk0", active: true);
        }

        // At least one second's worth of it came through, and a small part of all.
        Assert.InRange(events.Count, 64, 10_000);
    }
}
