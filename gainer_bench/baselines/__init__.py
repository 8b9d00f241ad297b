"""What GaINeR is compared with: other ways to make a picture a function, each a registered method too."""
