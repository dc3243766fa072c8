using Cnvm.Linux;
using Cnvm.Vmm.Config;

namespace Cnvm.Vmm.Migration;

/// <summary>The sockets of a guest that is on its way here, and that this process is to serve with its devices.</summary>
internal static class ArrivingSockets
{
    /// <summary>A vsock whose socket cannot be made here, by the device's name: it is made only when the source has stopped the guest.</summary>
    public static IEnumerable<string> Obstacles(VmConfig config) =>
        config.Vsock is { } vsock && UnixListener.Obstacle(vsock.Socket) is { } problem ? [$"vsock {vsock.Id}: {problem}"] : [];
}
