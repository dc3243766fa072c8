using Cnvm.Arch;
using Cnvm.Linux;

namespace Cnvm.Hypervisor;

/// <summary>One programmable message-signalled interrupt. Any thread.</summary>
public interface IMsiRoute : IDisposable
{
    /// <summary>Signalling this eventfd raises the interrupt, as <see cref="Signal"/> does.</summary>
    EventFd Trigger { get; }

    /// <summary>Programs the message; null masks the route: signals are then dropped (the device keeps its own pending bit).</summary>
    void SetMessage(MsiMessage? message);

    /// <summary>Raises the interrupt now.</summary>
    void Signal();
}
