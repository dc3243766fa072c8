namespace Cnvm.Linux.Tests;

public sealed class SignalTests
{
    /// <summary>Runs on a thread of its own, whose signal mask ends with it.</summary>
    private static void OnThread(Action body)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                body();
            }
            catch (Exception e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        Assert.Null(failure);
    }

    [Fact]
    public void BlockedSignalArrivesByReading() => OnThread(() =>
    {
        SignalSet usr2 = SignalSet.Of(Libc.SIGUSR2);
        Assert.NotEqual(0UL, Signals.Block(usr2).Bits & usr2.Bits);
        using var signals = new SignalFd(usr2);
        Assert.Equal(0, signals.Read());
        Assert.Equal(0, Libc.tgkill(NativeThread.ProcessId, NativeThread.CurrentId, Libc.SIGUSR2));
        Assert.Equal(Libc.SIGUSR2, signals.Read());
        Assert.Equal(0, signals.Read());
        Assert.Equal(0UL, Signals.Unblock(usr2).Bits & usr2.Bits);
    });

    [Fact]
    public void IgnoredSignalStaysPendingWhileBlocked() => OnThread(() =>
    {
        SignalSet set = SignalSet.Of(40);
        Signals.Ignore(40);
        Signals.Block(set);
        Assert.False(Signals.TakePending(set));
        Assert.Equal(0, Libc.tgkill(NativeThread.ProcessId, NativeThread.CurrentId, 40));
        Assert.True(Signals.TakePending(set));
        Assert.False(Signals.TakePending(set));
        Signals.Unblock(set);
        Assert.Equal(0, Libc.tgkill(NativeThread.ProcessId, NativeThread.CurrentId, 40));
        Assert.False(Signals.TakePending(set));
    });

    [Fact]
    public void ThreadIsPinned() => OnThread(() =>
    {
        int[] allowed = NativeThread.GetAffinity();
        NativeThread.SetAffinity([allowed[^1]]);
        Assert.Equal([allowed[^1]], NativeThread.GetAffinity());
        Assert.Equal(Errno.EINVAL, Assert.Throws<LinuxException>(() => NativeThread.SetAffinity([NativeThread.MaxCpus - 1])).Errno);
    });

    [Fact]
    public void MappingIsZeroedAndRefusalIsNamed()
    {
        using (MappedMemory memory = MappedMemory.Anonymous(8192))
        {
            Assert.Equal((nuint)8192, memory.Length);
            Assert.Equal(0, System.Runtime.InteropServices.Marshal.ReadInt64(memory.Address + 8184));
        }

        LinuxException e = Assert.Throws<LinuxException>(
            () => MappedMemory.Map(4096, Libc.PROT_READ, Libc.MAP_SHARED, -1, 0, "nothing"));
        Assert.Contains("mmap of nothing", e.Message);
    }
}
