namespace Cnvm.Ttrpc;

/// <summary>
/// What one message may cost to read, counted on the thread that reads it. Two bytes can be a message in a message, so the length of the
/// bytes alone bounds neither the stack nor the memory.
/// </summary>
internal static class ProtoBudget
{
    /// <summary>Messages in messages; what protobuf's own libraries allow.</summary>
    public const int MaxDepth = 100;

    /// <summary>Strings, messages and entries of maps in one message with all that is in it.</summary>
    public const int MaxObjects = 1 << 18;

    [ThreadStatic]
    private static int t_depth;

    [ThreadStatic]
    private static int t_objects;

    /// <summary>A reader has been made: for a message of its own, unless one is being read.</summary>
    public static void Begin()
    {
        if (t_depth == 0)
        {
            t_objects = 0;
        }
    }

    public static void Count()
    {
        if (++t_objects > MaxObjects)
        {
            throw new ProtoException($"more than {MaxObjects} strings, messages and entries in one message");
        }
    }

    /// <summary><see cref="Leave"/> comes after each of these that returns.</summary>
    public static void Enter()
    {
        if (t_depth >= MaxDepth)
        {
            throw new ProtoException($"more than {MaxDepth} messages in each other");
        }
        t_depth++;
    }

    public static void Leave() => t_depth--;
}
