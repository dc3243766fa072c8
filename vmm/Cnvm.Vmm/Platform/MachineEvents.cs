using Cnvm.Devices.Platform;

namespace Cnvm.Vmm.Platform;

/// <summary>Turns what devices ask of the machine into guest requests.</summary>
internal sealed class MachineEvents(Action<GuestRequest, string?> request) : IMachineEvents
{
    public void RequestReset(string source) => request(GuestRequest.Reset, source);

    public void RequestShutdown(string source) => request(GuestRequest.PowerOff, source);

    // The machine offers S5 alone; a guest that writes another sleep type has not read the tables.
    public void RequestSleep(string source, int sleepType)
    {
    }

    public void ReportPanic(PanicEvent panic)
    {
        if (panic.HasFlag(PanicEvent.Panicked))
        {
            request(GuestRequest.Panic, null);
        }
    }
}
