using Cnvm.Linux;
using ThreadNetwork = Cnvm.Virtio.Tests.Support.NetworkNamespace;

namespace Cnvm.Guest.Tests.Kata;

/// <summary>A TAP interface as Kata's shim makes it for a pod: in the pod's network namespace, opened there, and handed over as a descriptor.</summary>
internal static class KataTap
{
    /// <summary>
    /// Makes a network namespace with one interface that answers at an address. Both live as long as the descriptor does, here or elsewhere.
    /// </summary>
    public static TapQueue Open(string address)
    {
        TapQueue? tap = null;
        ThreadNetwork.Run(() =>
        {
            tap = TapQueue.Open("kata%d", multiQueue: false);

            // A child belongs to the network namespace of the thread that starts it.
            GuestPrograms.Output("ip", "address", "add", address, "dev", tap.Name);
            GuestPrograms.Output("ip", "link", "set", tap.Name, "up");
        });
        return tap!;
    }
}
