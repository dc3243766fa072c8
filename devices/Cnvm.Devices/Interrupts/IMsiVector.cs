using Cnvm.Arch;

namespace Cnvm.Devices.Interrupts;

/// <summary>One message-signalled interrupt of a device. Any thread.</summary>
public interface IMsiVector : IDisposable
{
    /// <summary>Programs the message; null masks: signals are dropped until it is programmed again.</summary>
    void SetMessage(MsiMessage? message);

    /// <summary>Raises the interrupt.</summary>
    void Signal();

    /// <summary>An eventfd that raises the interrupt when written, for back ends in the kernel or another process; -1 if there is none.</summary>
    int EventFd { get; }
}
