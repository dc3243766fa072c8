using Cnvm.Linux;

namespace Cnvm.Virtio.Transport;

/// <summary>Binds guest writes to eventfds without a detour through the register handler; the machine implements it.</summary>
public interface IDoorbellRegistrar
{
    /// <summary>From now on a guest write to a guest-physical address signals <paramref name="target"/>. Never throws.</summary>
    /// <param name="width">Bytes of the write; 0 means any width.</param>
    /// <param name="dataMatch">Only this value signals; null means any.</param>
    /// <returns>Dispose it to unbind; null when the host cannot bind it: the write then reaches the handler, which does the same.</returns>
    IDisposable? TryRegister(ulong address, int width, ulong? dataMatch, EventFd target);
}
