// Looks each argument up as Java's sockets do, and prints how long each took in µs.
import java.net.InetAddress;
import java.net.UnknownHostException;

public class Lookup {
    public static void main(String[] names) {
        for (String name : names) {
            long begun = System.nanoTime();
            String told = "found";
            try {
                InetAddress.getAllByName(name);
            } catch (UnknownHostException error) {
                told = "unknown";
            }
            System.out.println((System.nanoTime() - begun) / 1000 + " " + told);
        }
    }
}
