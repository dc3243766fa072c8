namespace Cnvm.GuestAgent;

/// <summary>
/// What the agent needs of LINQ, under the same names. The framework's would make the program a megabyte larger, and it lies in the memory of
/// every sandbox.
/// </summary>
internal static class Sequences
{
    public static IEnumerable<TResult> Select<T, TResult>(this IEnumerable<T> items, Func<T, TResult> map)
    {
        foreach (T item in items)
        {
            yield return map(item);
        }
    }

    public static IEnumerable<TResult> SelectMany<T, TResult>(this IEnumerable<T> items, Func<T, IEnumerable<TResult>> map)
    {
        foreach (T item in items)
        {
            foreach (TResult result in map(item))
            {
                yield return result;
            }
        }
    }

    public static IEnumerable<T> Where<T>(this IEnumerable<T> items, Func<T, bool> isWanted)
    {
        foreach (T item in items)
        {
            if (isWanted(item))
            {
                yield return item;
            }
        }
    }

    public static IEnumerable<T> Take<T>(this IEnumerable<T> items, int count)
    {
        foreach (T item in items)
        {
            if (count-- <= 0)
            {
                yield break;
            }

            yield return item;
        }
    }

    public static IEnumerable<T> Skip<T>(this IEnumerable<T> items, int count)
    {
        foreach (T item in items)
        {
            if (count-- <= 0)
            {
                yield return item;
            }
        }
    }

    public static IEnumerable<T> Concat<T>(this IEnumerable<T> items, IEnumerable<T> others)
    {
        foreach (T item in items)
        {
            yield return item;
        }

        foreach (T item in others)
        {
            yield return item;
        }
    }

    public static bool Any<T>(this IEnumerable<T> items, Func<T, bool> isWanted)
    {
        foreach (T item in items)
        {
            if (isWanted(item))
            {
                return true;
            }
        }

        return false;
    }

    public static bool All<T>(this IEnumerable<T> items, Func<T, bool> isWanted) => !items.Any(i => !isWanted(i));

    public static T? FirstOrDefault<T>(this IEnumerable<T> items, Func<T, bool> isWanted)
        where T : class?
    {
        foreach (T item in items)
        {
            if (isWanted(item))
            {
                return item;
            }
        }

        return null;
    }

    public static T? FirstOrDefault<T>(this IEnumerable<T> items)
        where T : class? => items.FirstOrDefault(_ => true);

    public static bool Contains(this IEnumerable<string> items, string wanted) => items.Any(i => i == wanted);
}
