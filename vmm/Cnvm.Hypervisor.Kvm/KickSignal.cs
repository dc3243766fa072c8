using System.Runtime.InteropServices;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>
/// The signal that takes a vCPU thread out of KVM_RUN. It has no handler: the thread keeps it blocked, and the mask that KVM
/// puts in place while the guest runs (KVM_SET_SIGNAL_MASK) lets it through, so that it ends the ioctl and stays pending.
/// </summary>
/// <remarks>
/// Everywhere else in the process the signal is ignored: a kick that comes a moment late, when its thread is gone and the id
/// belongs to another, does no harm. The kernel keeps a blocked signal pending even when it is ignored.
/// </remarks>
internal static unsafe class KickSignal
{
    // A real-time signal that neither the C library (32, 33) nor the .NET runtime (34) uses.
    private const int Number = 36;

    private static readonly SignalSet Set = SignalSet.Of(Number);
    private static int _ignored;

    /// <summary>Prepares the calling thread and the vCPU it will run.</summary>
    public static void Attach(int vcpu)
    {
        if (Interlocked.Exchange(ref _ignored, 1) == 0)
        {
            Signals.Ignore(Number);
        }

        SignalSet mask = Signals.Block(Set);
        var request = new SignalMask
        {
            Header = new kvm_signal_mask { len = sizeof(ulong) },
            Blocked = mask.Bits & ~Set.Bits,
        };
        KvmIoctl.Call(vcpu, KvmRequest.KVM_SET_SIGNAL_MASK, ref request);
    }

    /// <summary>Interrupts KVM_RUN on a thread of this process.</summary>
    public static void Send(int thread) => _ = Libc.tgkill(NativeThread.ProcessId, thread, Number);

    /// <summary>Takes the signal off the calling thread, or the next KVM_RUN would return at once.</summary>
    public static void Drain() => Signals.TakePending(Set);

    [StructLayout(LayoutKind.Sequential, Pack = 4)]
    private struct SignalMask
    {
        public kvm_signal_mask Header;
        public ulong Blocked;
    }
}
