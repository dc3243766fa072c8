using Cnvm.Hypervisor;
using Cnvm.Linux;
using Cnvm.Virtio.Transport;

namespace Cnvm.Vmm.Platform;

/// <summary>Binds the notifications of virtio devices to eventfds in the partition.</summary>
internal sealed class Doorbells(IPartition partition) : IDoorbellRegistrar
{
    public IDisposable? TryRegister(ulong address, int width, ulong? dataMatch, EventFd target)
    {
        try
        {
            return partition.AddDoorbell(DoorbellSpace.Memory, address, width, dataMatch, target);
        }
        catch (HypervisorException)
        {
            // The host is out of doorbells, or the guest put its BAR where another one is: writes reach the register handler,
            // which signals the same eventfd.
            return null;
        }
    }
}
