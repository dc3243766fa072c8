using Cnvm.Arch;
using Cnvm.Devices.Interrupts;
using Cnvm.Hypervisor;

namespace Cnvm.Vmm.Platform;

/// <summary>What devices see of the partition's local APICs.</summary>
internal sealed class MsiController(IInterruptController interrupts) : IMsiController
{
    public void Signal(MsiMessage message) => interrupts.SignalMsi(message);

    public IMsiVector CreateVector() => new Vector(interrupts.CreateMsiRoute());

    public void SetIoApicRoute(int pin, MsiMessage? message) => interrupts.SetIoApicRoute(pin, message);

    private sealed class Vector(IMsiRoute route) : IMsiVector
    {
        public int EventFd => route.Trigger.Fd;

        public void SetMessage(MsiMessage? message) => route.SetMessage(message);

        public void Signal() => route.Signal();

        public void Dispose() => route.Dispose();
    }
}
