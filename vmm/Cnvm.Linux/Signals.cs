namespace Cnvm.Linux;

/// <summary>Signal masks of the calling thread, and process-wide dispositions.</summary>
public static unsafe class Signals
{
    /// <summary>Adds signals to the calling thread's mask; returns the mask as it is now.</summary>
    public static SignalSet Block(SignalSet signals) => ChangeMask(Libc.SIG_BLOCK, signals);

    /// <summary>Takes signals out of the calling thread's mask; returns the mask as it is now.</summary>
    public static SignalSet Unblock(SignalSet signals) => ChangeMask(Libc.SIG_UNBLOCK, signals);

    /// <summary>
    /// Discards a signal wherever it is not blocked. A blocked signal is kept pending all the same, whatever its disposition.
    /// </summary>
    public static void Ignore(int signal)
    {
        if (Libc.signal(signal, Libc.SIG_IGN) == -1)
        {
            LinuxError.Throw("signal");
        }
    }

    /// <summary>Takes pending signals of the set off the calling thread, without waiting; true if there was one.</summary>
    public static bool TakePending(SignalSet signals)
    {
        timespec zero = default;
        bool any = false;
        // SAFETY: the kernel reads two locals; sigtimedwait returns at once because the timeout is zero.
        while (Libc.sigtimedwait(&signals, null, &zero) > 0)
        {
            any = true;
        }

        return any;
    }

    private static SignalSet ChangeMask(int how, SignalSet signals)
    {
        SignalSet now;
        // SAFETY: the C library reads and writes locals of its own layout. It returns the error number.
        int error = Libc.pthread_sigmask(how, &signals, null);
        if (error == 0)
        {
            error = Libc.pthread_sigmask(Libc.SIG_BLOCK, null, &now);
        }

        return error == 0 ? now : throw new LinuxException("pthread_sigmask", error);
    }
}
