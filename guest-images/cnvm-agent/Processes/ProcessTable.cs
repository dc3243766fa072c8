using Cnvm.Linux;

namespace Cnvm.GuestAgent.Processes;

/// <summary>
/// Every child of this process, started here or orphaned: one thread waits for all, so that none stays a zombie. Numbers of processes are used
/// under the lock that also lets them go, so that a signal never meets somebody else.
/// </summary>
internal sealed class ProcessTable
{
    private readonly Dictionary<int, TaskCompletionSource<int>> _children = [];
    private readonly object _lock = new();

    public ProcessTable() => new Thread(Reap) { IsBackground = true, Name = "reaper" }.Start();

    /// <summary>Starts a child and remembers it.</summary>
    /// <param name="start">Gives the child's number. Runs on a thread of its own, whose namespaces it may change.</param>
    /// <returns>The child's number, and its exit code when it has one.</returns>
    /// <exception cref="LinuxException">It could not be started.</exception>
    public (int Id, Task<int> Exit) Start(Func<int> start)
    {
        var exit = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        int id = 0;
        lock (_lock)
        {
            Exception? failure = null;
            var thread = new Thread(() =>
            {
                try
                {
                    id = start();
                }
                catch (Exception e)
                {
                    failure = e;
                }
            });
            thread.Start();
            thread.Join();
            if (failure is not null)
            {
                throw failure;
            }

            _children.Add(id, exit);
            Monitor.Pulse(_lock);
        }

        return (id, exit.Task);
    }

    /// <summary>Sends a signal to a child.</summary>
    /// <returns>False if it has ended.</returns>
    /// <exception cref="LinuxException">There is no such signal.</exception>
    public bool Signal(int id, int signal)
    {
        lock (_lock)
        {
            return _children.ContainsKey(id) && Children.Signal(id, signal);
        }
    }

    private void Reap()
    {
        NativeThread.ShowName();
        while (true)
        {
            if (Children.WaitForAny() is not { } end)
            {
                // No children, so no orphans can come either until one is started.
                lock (_lock)
                {
                    while (_children.Count == 0)
                    {
                        Monitor.Wait(_lock);
                    }
                }

                continue;
            }

            TaskCompletionSource<int>? exit;
            lock (_lock)
            {
                _children.Remove(end.Id, out exit);
                Children.Forget(end.Id);
            }

            exit?.TrySetResult(end.ExitCode);
        }
    }
}
