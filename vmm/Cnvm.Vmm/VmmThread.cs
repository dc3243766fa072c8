using Cnvm.Linux;

namespace Cnvm.Vmm;

/// <summary>
/// The thread named <c>vmm</c>: carries out what changes the machine, one thing at a time, in the order in which it was asked
/// for. API requests and what the guest itself asks for (reset, power off) meet here.
/// </summary>
public sealed class VmmThread : IDisposable
{
    // Deep enough for JSON and kernel loading, and below the size that Linux backs with a huge page.
    private const int StackBytes = 1 << 20;

    // Longer than what one request leaves to the next of whoever sets up a VM with several.
    private const int QuietMilliseconds = 200;

    private readonly Queue<Action> _work = new();
    private readonly Queue<Action> _later = new();
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _ready = new(0);
    private readonly Thread _thread;
    private bool _ending;

    public VmmThread()
    {
        _thread = new Thread(Main, StackBytes) { Name = "vmm", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Queues work; returns at once. Work must handle its own exceptions. Any thread.</summary>
    public void Post(Action work)
    {
        ArgumentNullException.ThrowIfNull(work);
        lock (_gate)
        {
            if (_ending)
            {
                return;
            }

            _work.Enqueue(work);
        }

        _ready.Release();
    }

    /// <summary>
    /// Queues work that nobody waits for and that would stand in the way of what is: it runs once nothing else has been asked for in 200 ms, or
    /// not at all if the thread ends before. Any thread.
    /// </summary>
    public void PostWhenQuiet(Action work)
    {
        ArgumentNullException.ThrowIfNull(work);
        lock (_gate)
        {
            if (_ending || _later.Contains(work))
            {
                return;
            }

            _later.Enqueue(work);
        }

        // The thread may wait without an end.
        _ready.Release();
    }

    /// <summary>Runs work and waits for it; its exception comes back here. Not on the thread itself.</summary>
    public void Invoke(Action work)
    {
        using var done = new ManualResetEventSlim(false);
        System.Runtime.ExceptionServices.ExceptionDispatchInfo? failure = null;
        Post(() =>
        {
            try
            {
                work();
            }
            catch (Exception e)
            {
                failure = System.Runtime.ExceptionServices.ExceptionDispatchInfo.Capture(e);
            }

            done.Set();
        });
        done.Wait();
        failure?.Throw();
    }

    /// <summary>Ends the thread after the work queued so far. Not on the thread itself.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_ending)
            {
                return;
            }

            _ending = true;
        }

        _ready.Release();
        _thread.Join();
        _ready.Dispose();
    }

    private void Main()
    {
        NativeThread.ShowName();
        bool hasMore = false;
        while (true)
        {
            bool isQuiet = !_ready.Wait(hasMore ? QuietMilliseconds : Timeout.Infinite);
            Action? work;
            lock (_gate)
            {
                if (!_work.TryDequeue(out work))
                {
                    if (_ending)
                    {
                        return;
                    }

                    if (isQuiet)
                    {
                        _later.TryDequeue(out work);
                    }
                }

                hasMore = _later.Count > 0;
            }

            work?.Invoke();
        }
    }
}
