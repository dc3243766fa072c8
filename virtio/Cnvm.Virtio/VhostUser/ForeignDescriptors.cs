using Cnvm.Linux;

namespace Cnvm.Virtio.VhostUser;

/// <summary>
/// Closes descriptors that the other side has sent and that are not kept. The last close of a file may wait for whoever serves its file system,
/// so that only memory is closed at once, and everything else on a thread that nobody waits for. Any thread.
/// </summary>
internal static class ForeignDescriptors
{
    private const int MostWaiting = 8;
    private static readonly Lock Gate = new();
    private static readonly Queue<FileDescriptor> Waiting = [];
    private static readonly ManualResetEventSlim HasRoom = new(initialState: true);
    private static bool s_isClosing;

    /// <summary>So many wait to be closed that no more should be asked for.</summary>
    public static bool AreStuck => !HasRoom.IsSet;

    /// <summary>Waits until fewer do; false if that takes longer.</summary>
    public static bool AwaitRoom(TimeSpan limit) => HasRoom.Wait(limit);

    /// <param name="descriptor">Owned from now on.</param>
    public static void Close(FileDescriptor descriptor)
    {
        if (MemoryFile.IsMemory(descriptor.Value))
        {
            descriptor.Dispose();
            return;
        }

        lock (Gate)
        {
            Waiting.Enqueue(descriptor);
            if (Waiting.Count >= MostWaiting)
            {
                HasRoom.Reset();
            }

            if (!s_isClosing)
            {
                s_isClosing = true;
                new Thread(Run) { Name = "vhost_close", IsBackground = true }.Start();
            }
        }
    }

    private static void Run()
    {
        while (true)
        {
            FileDescriptor? descriptor;
            lock (Gate)
            {
                if (!Waiting.TryDequeue(out descriptor))
                {
                    s_isClosing = false;
                    return;
                }

                if (Waiting.Count < MostWaiting)
                {
                    HasRoom.Set();
                }
            }

            descriptor.Dispose();
        }
    }
}
