using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Cnvm.Linux;

namespace Cnvm.Virtio.Block;

/// <summary>A few threads that do blocking I/O for one image, where the kernel gives no io_uring.</summary>
internal sealed class IoThreads : IDisposable
{
    private const int Count = 4;
    private const int StackBytes = 128 * 1024;
    private readonly Thread[] _threads = new Thread[Count];
    private readonly Lock _gate = new();

    // Readable while requests wait or the threads are to end. An eventfd, because waiting on a monitor allocates.
    private readonly EventFd _work = new();
    private ThreadedRequest? _first;
    private ThreadedRequest? _last;
    private bool _stopping;

    public IoThreads(string name)
    {
        for (int i = 0; i < Count; i++)
        {
            _threads[i] = new Thread(Run, StackBytes)
            {
                Name = string.Create(CultureInfo.InvariantCulture, $"{name}_io{i}"),
                IsBackground = true,
            };
            _threads[i].Start();
        }
    }

    /// <summary>Hands over a chain of requests, linked by <see cref="ThreadedRequest.Next"/>.</summary>
    public void Enqueue(ThreadedRequest first, ThreadedRequest last)
    {
        lock (_gate)
        {
            if (_last is null)
            {
                _first = first;
            }
            else
            {
                _last.Next = first;
            }

            _last = last;
            _work.Signal();
        }
    }

    /// <summary>Ends the threads. Nothing is in flight.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stopping = true;
            _work.Signal();
        }

        foreach (Thread thread in _threads)
        {
            thread.Join();
        }

        _work.Dispose();
    }

    private void Run()
    {
        NativeThread.ShowName();
        PollEntry[] wait = [new() { Fd = _work.Fd, Events = PollEntry.In }];
        while (true)
        {
            Poll.Wait(wait, -1);
            if (!TryTake(out ThreadedRequest? request, out bool stopping))
            {
                if (stopping)
                {
                    return;
                }

                continue;
            }

            request.Owner.Perform(request);
        }
    }

    private bool TryTake([NotNullWhen(true)] out ThreadedRequest? request, out bool stopping)
    {
        lock (_gate)
        {
            stopping = _stopping;
            request = _first;
            if (request is null)
            {
                if (!stopping)
                {
                    // Under the lock, as the signal is: one that comes later stays.
                    _work.Drain();
                }

                return false;
            }

            _first = request.Next;
            if (_first is null)
            {
                _last = null;
            }

            request.Next = null;
            return true;
        }
    }
}
