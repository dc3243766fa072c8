namespace Cnvm.Virtio.Net;

/// <content>A back end that another process takes over, with the frames that wait in it.</content>
public sealed partial class NetDevice
{
    /// <summary>Descriptors of the back end that another process can go on with, one a queue pair, or none. They stay the device's.</summary>
    public IReadOnlyList<int> HostDescriptors => _backend.HostDescriptors;

    /// <summary>Sets the back end as the guest wants it, after another process had it. While no queue runs.</summary>
    public void TakeBackEndAgain()
    {
        // It took these settings before, and frames come whole if it does not any more.
        _ = TrySetGuestOffloads(_guestOffloads);
    }
}
